#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Exports in the programs that they are for: html and svg in headless Chromium, chrome in speedscope, compile-commands beside
Bear's. Not a part of `make check`, since it needs chromium, bear and the network (npm, for speedscope); `make check-viewers`.

`viewers.py [-k FOLDER]`: keeps the screenshots there, to be looked at."""
import base64
import collections
import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
sys.path[:0] = [os.path.join(TESTS, "ctl"), os.path.join(TESTS, "e2e")]
import exports  # noqa: E402, pylint: disable=wrong-import-position
import tap  # noqa: E402, pylint: disable=wrong-import-position
from tap import CTL, Skip  # noqa: E402, pylint: disable=wrong-import-position

RECORDING = os.path.join(TESTS, "ctl", "recording.json")
CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "execsnoopd-viewers")
SPEEDSCOPE = "speedscope@1.25.0"
LIGHT = {"back": "ffffff", "ok": "9bd0a8", "failed": "f5a742", "signal": "ee6b60", "running": "9db7dd"}
DARK = {"back": "14171a", "ok": "5fa874", "failed": "d98a2b", "signal": "d9564b", "running": "6d8bb8"}
SVG_DARK = {"back": "14171a", "ok": "2f6b40", "failed": "9a5f14", "signal": "a3362d", "running": "3f5a83"}
# Everything that a hand can do, at once, and what it takes.
EXERCISE = """<script>
{
	const result = {}, time = (name, times, f) => { const from = performance.now(); for (let i = 0; i < times; i++) f(i);
		result[name] = (performance.now() - from) / times; };
	const press = (target, key) => { target.focus(); target.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true })); };
	time("draw", 20, () => draw());
	time("zoom", 40, () => { zoom(0.8, 500); draw(); });
	time("pan", 40, (i) => { move(view.from + (view.to - view.from) * 0.3, view.to + (view.to - view.from) * 0.3, i); draw(); });
	result.zoomed = view.to - view.from < data.duration / 100;
	press(canvas, "0");
	result.all = view.from === 0 && view.to === data.duration;
	press(canvas, "+");
	result.plus = view.to - view.from < data.duration;
	for (const name of Object.keys(COLUMNS)) time("tab " + name, 1, () => setTab(name));
	time("sort", 1, () => { setTab("Programs"); $("head").children[2].click(); });
	result.sorted = items.every((p, i) => i === 0 || items[i - 1].cpu >= p.cpu);
	$("search").value = programs[programs.length - 1].command.split(" ").pop();
	time("search", 1, search);
	result.found = matches.size;
	press(canvas, "n");
	result.next = selected !== null && matches.has(selected.i);
	press($("search"), "Escape");
	result.cleared = matches === null;
	setTab("Tree");
	press($("list"), "Home");
	press($("list"), "ArrowDown");
	result.moved = selected === items[1] || items.length < 2;
	result.details = $("details").textContent.includes(selected.command);
	const p = programs[programs.length >> 1];
	select(p, true);
	reveal(p, false);
	draw();
	result.hit = programAt((xOf(p.start) + xOf(p.end)) / 2, yOf(p.row) + 5) === p;
	hovered = null;
	result.shown = $("list").firstElementChild.children.length;
	setTab("Programs");
	onbeforeprint();
	result.printed = $("list").firstElementChild.children.length;
	for (const rule of document.styleSheets[0].cssRules)
		if (rule.media && rule.media.mediaText === "print")
			rule.media.mediaText = "all";
	const rows = [...$("list").firstElementChild.children], tops = rows.map((row) => row.getBoundingClientRect().top);
	const picture = canvas.getBoundingClientRect();
	result.paper = rows.every((row, i) => getComputedStyle(row).position === "static" && getComputedStyle(row).breakInside === "avoid" &&
		(i === 0 || tops[i] - tops[i - 1] > 15)) && Math.abs(picture.width / picture.height - canvas.width / canvas.height) < 0.05;
	result.programs = programs.length;
	result.elements = document.querySelectorAll("img, svg, iframe, object, script").length;
	document.documentElement.dataset.result = JSON.stringify(result);
}
</script></body>"""


def check(truth, *what):
    if not truth:
        raise AssertionError(" ".join(str(w) for w in what) or "not true")


def export(source, name, folder):
    path = os.path.join(folder, "out." + {"compile-commands": "json", "chrome": "json"}.get(name, name))
    environment = {**os.environ, "TZ": "UTC"}
    subprocess.run([CTL, "export", "-i", source, "-o", name, "-w", path], check=True, env=environment)
    return path


def chromium(folder, url, *options, usual=None):
    """Its output, once the page was loaded; what a page writes to its console is a failure, unless it matches `usual`."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if not program:
        raise Skip("there is no chromium")
    done = subprocess.run([program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr",
                           "--user-data-dir=" + os.path.join(folder, "profile"), *options, url],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=180, check=False)
    console = [line for line in done.stderr.decode("utf-8", "replace").splitlines() if "CONSOLE" in line and not (usual and re.search(usual, line))]
    check(not console, "console:", console)
    return done.stdout.decode()


def pixels(path):
    """How often each colour is in a PNG of eight bits a sample, not interlaced."""
    with open(path, "rb") as f:
        data = f.read()
    at, body = 8, b""
    while at < len(data):
        size, kind = int.from_bytes(data[at:at + 4], "big"), data[at + 4:at + 8]
        if kind == b"IHDR":
            width, height, depth, color = (*(int.from_bytes(data[at + o:at + o + 4], "big") for o in (8, 12)), *data[at + 16:at + 18])
        elif kind == b"IDAT":
            body += data[at + 8:at + 8 + size]
        at += size + 12
    check(depth == 8 and color in (2, 6), "another kind of PNG", depth, color)
    step = 3 if color == 2 else 4
    raw, stride, before = zlib.decompress(body), width * step, bytearray(width * step)
    counts = collections.Counter()
    for y in range(height):
        kind, row = raw[y * (stride + 1)], bytearray(raw[y * (stride + 1) + 1:(y + 1) * (stride + 1)])
        for x in range(stride):
            a, b = row[x - step] if x >= step else 0, before[x]
            if kind == 1:
                row[x] = (row[x] + a) & 255
            elif kind == 2:
                row[x] = (row[x] + b) & 255
            elif kind == 3:
                row[x] = (row[x] + (a + b) // 2) & 255
            elif kind == 4:
                c = before[x - step] if x >= step else 0
                guess = a + b - c
                near = min((abs(guess - a), 0, a), (abs(guess - b), 1, b), (abs(guess - c), 2, c))[2]
                row[x] = (row[x] + near) & 255
        counts.update(row[x:x + 3].hex() for x in range(0, stride, step))
        before = row
    return counts, width * height


def check_picture(folder, path, name, colors, size, *options):
    png = os.path.join(KEEP or folder, name + ".png")
    chromium(folder, "file://" + path, "--screenshot=" + png, "--window-size=%d,%d" % size, *options)
    counts, total = pixels(png)
    check(counts[colors["back"]] > total // 3, "background", name, counts.most_common(5))
    for what in ("ok", "failed", "signal", "running"):
        check(counts[colors[what]] > 20, name, "has no", what, counts.most_common(12))


IS_DARK = "--blink-settings=preferredColorScheme=0"
IS_LIGHT = "--blink-settings=preferredColorScheme=1"


def html_is_seen_at_two_sizes_light_and_dark(folder):
    path = export(RECORDING, "html", folder)
    for name, size in (("wide", (1280, 800)), ("narrow", (600, 900))):
        check_picture(folder, path, "html-%s-light" % name, LIGHT, size, IS_LIGHT)
        check_picture(folder, path, "html-%s-dark" % name, DARK, size, IS_DARK)


def svg_is_seen_light_and_dark(folder):
    path = export(RECORDING, "svg", folder)
    for name, size in (("wide", (1600, 400)), ("narrow", (1000, 300))):
        check_picture(folder, path, "svg-%s-light" % name, LIGHT, size, IS_LIGHT)
        check_picture(folder, path, "svg-%s-dark" % name, SVG_DARK, size, IS_DARK)


def exercise(folder, source):
    path = export(source, "html", folder)
    with open(path, encoding="utf-8") as f:
        text = f.read()
    with open(path, "w", encoding="utf-8") as f:
        f.write(text.replace("</body>", EXERCISE))
    dom = chromium(folder, "file://" + path, "--dump-dom", "--window-size=1280,800")
    root = re.search(r"<html [^>]*>", dom).group()
    check('data-ready="yes"' in root and "data-error" not in root, root)
    result = json.loads(re.search(r'data-result="([^"]*)"', root).group(1).replace("&quot;", '"'))
    print("# " + ", ".join("%s %s" % (k, round(v, 2) if isinstance(v, float) else v) for k, v in result.items()))
    for name in ("zoomed", "all", "plus", "sorted", "next", "cleared", "moved", "details", "hit", "paper"):
        check(result[name] is True, name)
    check(result["elements"] == 3, "foreign elements", result["elements"])
    check(result["found"] > 0 and 0 < result["shown"] < 200, "rows")
    check(result["printed"] == min(result["programs"], 2000), "printed rows", result["printed"])
    return result


def html_works_by_hand_with_hostile_text(folder):
    source = os.path.join(folder, "hostile.json")
    recording = exports.Recording(3, 300, True)
    with open(source, "w", encoding="utf-8") as f:
        f.write("".join(line + "\n" for line in recording.lines))
    result = exercise(folder, source)
    check(result["programs"] == recording.programs, "programs", result["programs"])


def build_events(count):
    """A build of that many programs, eight at once."""
    number, free, lines = 1, [10**6] * 8, []

    def program(parent, start, end, *arguments):
        nonlocal number
        keys = {"id": "b-%d-1" % number, "pid": number + 10, "ppid": parent["pid"] if parent else 1, "start_time": exports.stamp(start),
                "exe": "/usr/bin/" + arguments[0], "filename": "/usr/bin/" + arguments[0], "args": arguments, "uid": 0, "cwd": "/src",
                **({"parent_id": parent["id"]} if parent else {})}
        number += 1
        lines.append((start + 1000, {"type": "started", "time": exports.stamp(start + 1000), **keys}))
        lines.append((end, {"type": "exited", "time": exports.stamp(end), **keys, "running_time_ns": end - start,
                            "exit_code": number % 97 == 0, "cpu_user_ns": (end - start) // 2, "cpu_system_ns": 0}))
        return keys

    root = program(None, 0, count * 7 * 10**6, "make", "-j8")
    while number <= count:
        i = free.index(min(free))
        start, took = free[i], 10**7 + number * 7919 % (3 * 10**8)
        sh = program(root, start, start + took, "sh", "-c", "gcc -O2 -c -o obj/file_%d.o src/file_%d.c" % (number, number))
        gcc = program(sh, start + 10**6, start + took - 10**6, "gcc", "-O2", "-c", "src/file_%d.c" % number)
        program(gcc, start + 2 * 10**6, start + took - 2 * 10**6, "cc1", "-quiet", "src/file_%d.c" % number)
        free[i] = start + took + 10**6
    lines.sort(key=lambda line: line[0])
    return [line for _, line in lines]


def html_of_50000_programs_is_fluent(folder):
    source = os.path.join(folder, "build.json")
    with open(source, "w", encoding="utf-8") as f:
        f.writelines(json.dumps(event) + "\n" for event in build_events(50000))
    # Milliseconds, by a CPU alone; the best of three times, beside other programs.
    limits = {"draw": 50, "zoom": 50, "pan": 50, "search": 500, "sort": 500, "tab Tree": 500, "tab Names": 500}
    for left in (2, 1, 0):
        result = exercise(folder, source)
        check(result["programs"] >= 50000, result)
        slow = {name: result[name] for name, limit in limits.items() if result[name] >= limit}
        if not slow:
            break
        check(left > 0, "too slow, in ms:", slow)


def speedscope(folder):
    release = os.path.join(CACHE, "node_modules", "speedscope", "dist", "release")
    if not os.path.exists(release):
        if not shutil.which("npm"):
            raise Skip("there is no npm")
        done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--prefix", CACHE, SPEEDSCOPE], stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, check=False)
        if done.returncode != 0:
            raise Skip("speedscope cannot be had: " + done.stderr.decode()[-200:])
    return release


def chrome_is_taken_by_speedscope(folder):
    release = speedscope(folder)
    hostile = os.path.join(folder, "hostile.json")
    with open(hostile, "w", encoding="utf-8") as f:
        f.write("".join(line + "\n" for line in exports.Recording(4, 2000).lines))
    for source in (RECORDING, hostile):
        path = export(source, "chrome", folder)
        with open(path, "rb") as f:
            data = base64.b64encode(f.read()).decode()
        script = os.path.join(folder, "profile.js")
        with open(script, "w", encoding="ascii") as f:
            f.write('speedscope.loadFileFromBase64("trace.json", "%s")' % data)
        dom = chromium(folder, "file://%s/index.html#localProfilePath=%s" % (release, script), "--dump-dom",
                       "--virtual-time-budget=20000", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
                       usual=r'] "(speedscope v|WebGL initialized|\[\.WebGL|Importing as |import: )')
        check("Something went wrong" not in dom, "speedscope complains")
        check("lane 1" in dom, "no lane in speedscope's page:", re.sub("<style.*?</style>|<[^>]*>", " ", dom, flags=re.S)[:400])


SOURCES = {
    "Makefile": "CFLAGS = -O2 -Wall -DNAME='\"a b\"'\nOBJECTS = main.o list.o sub/tree.o\nprog: $(OBJECTS)\n\t$(CC) -o $@ $(OBJECTS) -lm\n"
                "main.o: main.c list.h\n\t$(CC) $(CFLAGS) -MMD -MF main.d -c -o $@ $<\n"
                "sub/tree.o: sub/tree.c\n\tcd sub && cc -c -I.. tree.c\n"
                "both: main.c list.c sub/tree.c\n\t$(CC) -Wall -o $@ main.c list.c sub/tree.c -lm\n"
                "asm:\n\t$(CC) -S list.c\n\t$(CC) -E list.c >/dev/null\n\t$(CC) -MM list.c >/dev/null\n",
    "main.c": "#include \"list.h\"\nint main(void) { return list() + tree(); }\n",
    "list.h": "int list(void); int tree(void);\n", "list.c": "int list(void) { return 0; }\n", "sub/tree.c": "int tree(void) { return 0; }\n"}


def normal(entries):
    """What both must agree in: file and arguments. Bear puts arguments in another order, adds -c, and leaves out those that are
    of the linker and of dependencies."""
    found = set()
    for entry in entries:
        arguments, skip = [], False
        for argument in entry["arguments"][1:]:
            if skip:
                skip = False
            elif argument in ("-MF", "-MT", "-MQ"):
                skip = True
            elif not re.match(r"-c$|-M|-l|-L|-Wl,", argument):
                arguments.append(argument)
        program = os.path.realpath(shutil.which(entry["arguments"][0]) or entry["arguments"][0])
        found.add((os.path.normpath(os.path.join(entry["directory"], entry["file"])), program, tuple(sorted(arguments))))
    return found


def compile_commands_are_those_of_bear(folder):
    if not shutil.which("bear"):
        raise Skip("there is no bear")
    if os.geteuid() != 0:
        raise Skip("no root, to run the daemon")
    from e2e import Daemon  # pylint: disable=import-outside-toplevel,import-error
    project = os.environ.get("PROJECT") or os.path.join(folder, "project")
    for name, text in SOURCES.items() if "PROJECT" not in os.environ else ():
        os.makedirs(os.path.dirname(os.path.join(project, name)), exist_ok=True)
        with open(os.path.join(project, name), "w", encoding="ascii") as f:
            f.write(text)
    make = ["sh", "-c", os.environ.get("MAKE_COMMAND", "make -j2 -B prog both && make -B asm")]
    quiet = {"cwd": project, "check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    ours, theirs = os.path.join(folder, "ours.json"), os.path.join(folder, "theirs.json")
    subprocess.run(["bear", "--output", theirs, "--", *make], **quiet)
    with Daemon() as daemon:
        subprocess.run([CTL, "run", "--socket=" + daemon.path, "-o", "compile-commands", "-w", ours, "--", *make], **quiet)
    sets = []
    for path in (ours, theirs):
        with open(path, encoding="utf-8") as f:
            sets.append(normal(json.load(f)))
    print("# %d entries" % len(sets[0]))
    check(len(sets[0]) > 3, "few entries", sets[0])
    check(sets[0] == sets[1], "only ours:", sorted(sets[0] - sets[1])[:5], "only Bear's:", sorted(sets[1] - sets[0])[:5])


def static_programs_are_no_obstacle(folder):
    """Bear preloads a library, which a static program does not load."""
    if not shutil.which("bear") or os.geteuid() != 0:
        raise Skip("no bear or no root")
    from e2e import Daemon  # pylint: disable=import-outside-toplevel,import-error
    source, program = os.path.join(folder, "exec.c"), os.path.join(folder, "static-exec")
    with open(source, "w", encoding="ascii") as f:
        f.write("#include <unistd.h>\nint main(int c, char **v) { return c > 1 ? execvp(v[1], v + 1) : 0; }\n")
    subprocess.run(["cc", "-static", "-o", program, source], check=True)
    command = [program, "cc", "-c", "exec.c"]
    ours, theirs = os.path.join(folder, "ours.json"), os.path.join(folder, "theirs.json")
    subprocess.run(["bear", "--output", theirs, "--", program, *command], check=True, cwd=folder)
    with Daemon() as daemon:
        subprocess.run([CTL, "run", "-q", "--socket=" + daemon.path, "-o", "compile-commands", "-w", ours, "--", program, *command], check=True,
                       cwd=folder)
    with open(ours, encoding="utf-8") as f:
        entries = json.load(f)
    with open(theirs, encoding="utf-8") as f:
        print("# Bear has %d entries" % len(json.load(f)))
    check([(e["file"], e["arguments"][1:]) for e in entries] == [(os.path.join(folder, "exec.c"), ["-c", "exec.c"])], entries)


ALL = [html_is_seen_at_two_sizes_light_and_dark, svg_is_seen_light_and_dark, html_works_by_hand_with_hostile_text,
       html_of_50000_programs_is_fluent, chrome_is_taken_by_speedscope, compile_commands_are_those_of_bear,
       static_programs_are_no_obstacle]
KEEP = None


def in_folder(test):
    with tempfile.TemporaryDirectory(prefix="execsnoopd-viewers-") as folder:
        test(folder)


if __name__ == "__main__":
    if sys.argv[1:2] == ["-k"]:
        KEEP = os.path.abspath(sys.argv[2])
        del sys.argv[1:3]
    tap.main([(test.__name__, functools.partial(in_folder, test)) for test in ALL])

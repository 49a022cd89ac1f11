#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The completions of execsnoopctl in bash, zsh and fish: each shell loads its script, completes lines, and is compared with the table."""
import os
import pty
import shlex
import shutil
import subprocess
import time

import journal
from journal import test

SOURCE = os.path.abspath(os.environ.get("top_srcdir", "."))
CTL = journal.CTL
BASH_COMPLETION = "/usr/share/bash-completion/bash_completion"
# The script is a file of the name under which it is loaded, first in the shell's own path.
BASH = """
. {bash_completion}
. {source}/conf/shell-completion/bash/execsnoopctl
line={line}
COMP_LINE=$line COMP_POINT=${{#line}} COMP_TYPE=9 COMP_KEY=9
# As readline cuts it: COMP_WORDBREAKS has = and :.
mapfile -t COMP_WORDS < <(printf '%s' "$line" | sed 's/\\([=:]\\)/ \\1 /g' | xargs -n1 printf '%s\\n')
[[ $line != *[' =:'] ]] || COMP_WORDS+=("")
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
compopt() {{ :; }}
_execsnoopctl execsnoopctl "${{COMP_WORDS[COMP_CWORD]}}" "${{COMP_WORDS[COMP_CWORD - 1]}}"
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
# Whatever is offered goes to a file, too; then the line is done.
ZSH = """
PROMPT=
fpath=({source}/conf/shell-completion/zsh $fpath)
autoload -Uz compinit && compinit -D -u
compadd() {{
	local -a offered
	case " $* " in *' -'[OAD]' '*) builtin compadd "$@"; return ;; esac
	builtin compadd -O offered "$@"
	print -rl -- $offered >>{out}
	builtin compadd "$@"
}}
zle -C offer list-choices _main_complete
finish() {{ zle offer; print done >>{out}; exit }}
zle -N finish
bindkey '^X' finish
print ready >>{ready}
"""


def table():
    """Commands with what they take; options with the commands, values and names."""
    lines = [line.split("\t") for line in subprocess.check_output([CTL, "--completion-table"], text=True).splitlines()]
    return [line[1] for line in lines if line[0] == "command"], [line[1:] for line in lines if line[0] == "option"], lines


def environment():
    return {"PATH": os.path.dirname(CTL) + ":" + os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", "TERM": "dumb", "COLUMNS": "200"}


def bash(folder, line):
    script = BASH.format(bash_completion=BASH_COMPLETION, source=shlex.quote(SOURCE), line=shlex.quote(line))
    done = subprocess.run(["bash", "--norc", "-c", script], env=environment(), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    assert not done.stderr, done.stderr
    return done.stdout.split("\n")[:-1]


def read_all(fd, condition):
    """Reads, so that the shell is not held up, until the condition holds."""
    os.set_blocking(fd, False)
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "zsh does not complete"
        try:
            os.read(fd, 65536)
        except BlockingIOError:
            time.sleep(0.01)
        except OSError:
            return


def text_of(path):
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8") as file:
        return file.read()


def zsh(folder, line):
    out, ready = f"{folder}/out", f"{folder}/ready"
    for path in (out, ready):
        if os.path.exists(path):
            os.unlink(path)
    with open(f"{folder}/.zshrc", "w", encoding="utf-8") as file:
        file.write(ZSH.format(source=shlex.quote(SOURCE), out=out, ready=ready))
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execvpe("zsh", ["zsh", "-d", "-i"], {**environment(), "ZDOTDIR": folder})
    read_all(fd, lambda: text_of(ready))
    os.write(fd, line.encode() + b"\x18")
    read_all(fd, lambda: "done\n" in text_of(out))
    os.close(fd)
    os.waitpid(pid, 0)
    return text_of(out).split("done\n")[0].splitlines()


def fish(folder, line):
    done = subprocess.run(["fish", "--no-config", "-c", f"source {shlex.quote(SOURCE)}/conf/shell-completion/fish/execsnoopctl.fish; complete -C {shlex.quote(line)}"],
                          env={**environment(), "HOME": folder}, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    assert not done.stderr, done.stderr
    return [offer.split("\t")[0] for offer in done.stdout.splitlines()]


SHELLS = {"bash": bash, "zsh": zsh, "fish": fish}


def check_options(complete, folder):
    """After each command, exactly the options that the table has for it; and all of them before one."""
    commands, options, _ = table()
    for command in ["", *commands]:
        offered = {offer.rstrip("=") for offer in complete(folder, f"execsnoopctl {command} --".replace("  ", " "))}
        offered = {offer for offer in offered if offer.startswith("--")} - {"--"}
        expected = {option[1] for option in options if not command or option[4] == "-" or command in option[4].split()}
        assert offered == expected, (command, "missing", expected - offered, "too many", offered - expected)


def check_values(complete, folder):
    commands, _, lines = table()
    keys = {line[1] + "=" for line in lines if line[0] == "key"}
    for name in ("one.json", "other.txt"):
        with open(f"{folder}/{name}", "w", encoding="utf-8"):
            pass
    os.mkdir(f"{folder}/sub")
    for line, expected, exact in [
            ("", set(commands), False),
            ("st", {"stats", "status"}, False),
            ("log -o ", {"short", "json", "json-pretty", "sh", "cat", "verbose", "csv"}, True),
            ("log --output=js", {"json", "json-pretty"}, True),
            ("stats -o ", {"json", "csv"}, True),
            ("export -o ", {"chrome", "svg", "html", "compile-commands", "folded", "sh", "csv", "dot", "report"}, True),
            ("--color ", {"auto", "always", "never"}, True),
            ("--utc log --color=al", {"always"}, True),
            ("top --by ", {"exe", "unit", "user", "spawner", "container"}, False),
            ("log -t st", {"started"}, True),
            ("log -i on", {"one.json"}, True),
            ("log -D ", {"sub"}, True),
            ("log --uid ", {"root", "daemon"}, False),
            ("show ", {"1"}, False),
            ("log exit_", {"exit_code=", "exit_signal="}, False),
            ("log ", {key for key in keys if key in ("pid=", "parent_comm=", "min_cpu=", "tree=")}, False),
            ("log --columns=exit_", {"exit_code", "exit_signal"}, True),
            ("log --columns=pid,exit_", {"exit_code", "exit_signal"}, True),
            ("run ls", {"ls"}, False)]:
        # A list with commas: some shells offer the last item, some the whole list. What is after the "=" alone is bash's.
        offered = {offer.split(",")[-1].rstrip("/") for offer in complete(folder, f"execsnoopctl {line}")}
        offered = {offer.split("=", 1)[1] if offer.startswith("--") and "=" in offer else offer for offer in offered}
        offered = {offer.strip() for offer in offered} if exact else offered | {offer + "=" for offer in offered if offer + "=" in keys}
        assert offered == expected if exact else offered >= expected, (line, "missing", expected - offered, "too many", sorted(offered - expected)[:20])


def check_units(complete, folder):
    """Names of units have backslashes, and nothing in them is run."""
    names = ["dev-a\\x2db.device", "cron.service"]
    with open(f"{folder}/systemctl", "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\ncat <<'END'\n" + "".join(f"{name} loaded active running\n" for name in names) + "END\n")
    os.chmod(f"{folder}/systemctl", 0o755)
    path = os.environ["PATH"]
    os.environ["PATH"] = folder + ":" + path
    try:
        for line in ("log -u ", "watch --unit "):
            assert sorted(complete(folder, f"execsnoopctl {line}")) == sorted(names), line
    finally:
        os.environ["PATH"] = path


def add_tests(name):
    missing = shutil.which(name) is None or (name == "bash" and not os.path.exists(BASH_COMPLETION))

    def options(folder):
        check_options(SHELLS[name], folder)

    def values(folder):
        check_values(SHELLS[name], folder)

    def units(folder):
        check_units(SHELLS[name], folder)

    for function in (options, values, units):
        function.__name__ = f"{name}_completes_{function.__name__}"
        if missing:
            print(f"# {name} is not installed, {function.__name__} is left out")
        else:
            test(function)


@test
def every_option_is_known_to_the_table(folder):
    """What --help lists; and commands and options that are named for each other exist."""
    commands, options, lines = table()
    out = subprocess.check_output([CTL, "--help"], text=True)
    assert all(f" {option[1]}" in out for option in options) and len(options) > 40
    for option in options:
        assert option[4] == "-" or set(option[4].split()) <= set(commands), option
    assert {line[1] for line in lines if line[0] == "formats"} <= set(commands)


for shell in SHELLS:
    add_tests(shell)

if __name__ == "__main__":
    journal.main()

#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# bpftool as Ubuntu has it before 25.04: no package of its own, and a script that works for some kernels only.
set -eu
cd "${top_srcdir:-.}"
source=$(pwd)
if [ ! -e bootstrap ] || ! grep -qs '^ID=debian' /etc/os-release; then
	echo "1..0 # SKIP not a checkout on Debian"
	exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin" "$work/build"
number=0 bad=0

# fake NAME TEXT: a program of that name.
fake() {
	printf '#!/bin/sh\n%s\n' "$2" >"$work/bin/$1"
	chmod +x "$work/bin/$1"
}

# report NAME FILE: ok if the condition before it held.
report() {
	number=$((number + 1))
	if [ "$held" = 1 ]; then echo "ok $number - $1"; return; fi
	tail -n 20 "$2" | sed 's/^/# /'
	echo "not ok $number - $1"
	bad=1
}

echo "1..4"
fake bpftool 'echo "WARNING: bpftool not found for kernel $(uname -r)" >&2; exit 2'
fake dpkg-query 'exit 1'
fake apt-cache '[ "$*" = "madison bpftool" ] || exit 1'
fake apt-get "echo \"\$*\" >>$work/asked; [ \"\$1\" = update ]"
held=0
! PATH=$work/bin:$PATH ./bootstrap run >"$work/log" 2>&1 || :
! grep -q '^install.* linux-tools-common linux-tools-generic' "$work/asked" || grep -q '^install.* bpftool' "$work/asked" || held=1
report "bootstrap asks for linux-tools where there is no bpftool package" "$work/log"

held=0
if (cd "$work/build" && PATH=$work/bin:$PATH "$source/configure" -q) >"$work/log" 2>&1; then
	found=$(sed -n 's/^BPFTOOL = //p' "$work/build/Makefile")
	[ "$found" = "$work/bin/bpftool" ] || ! "$found" version >"$work/log" 2>&1 || held=1
fi
report "configure finds a bpftool that works" "$work/log"
# A checkout whose build takes one step. In the copy of bootstrap nothing is installed.
mkdir -p "$work/tree/src"
cp bootstrap "$work/tree"
touch -t 202001010000 "$work/tree/configure.ac" "$work/tree/Makefile.am" "$work/tree/src/Makemodule.am"
cat >"$work/tree/configure" <<'END'
#!/bin/sh
[ ! -e ../../broken ] || exit 1
mkdir -p src && printf 'all:\n\t@echo "  CC a step"; printf "#!/bin/sh\\necho an event\\n" >src/execsnoopd; chmod +x src/execsnoopd\n' >Makefile
END
chmod +x "$work/tree/configure"
fake dpkg-query 'echo "install ok installed"'
fake sudo 'exec "$@"'
held=0
PATH=$work/bin:$PATH "$work/tree/bootstrap" run >"$work/out" 2>"$work/log" || :
[ "$(cat "$work/out")" != "an event" ] || ! grep -q '^  CC a step' "$work/log" || held=1
report "bootstrap run shows the steps of the build on stderr, and only events on stdout" "$work/log"

held=0
touch "$work/tree/broken"
touch -d '1 minute' "$work/tree/configure" # newer than the Makefile of the build above
PATH=$work/bin:$PATH "$work/tree/bootstrap" run >"$work/out" 2>"$work/log" || held=1
[ ! -s "$work/out" ] || held=0
report "bootstrap run does not build with an old Makefile where configure fails" "$work/log"
exit $bad

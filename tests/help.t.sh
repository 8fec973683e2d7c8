# SPDX-License-Identifier: MIT
# Help of every command, the example that it shows (run as it stands), and completion in the shells that are here.
. tests/lib.sh

place help
mkdir "$base/bin"
ln -s "$lt" "$base/bin/labtasker"
PATH=$base/bin:$PATH
"$lt" --help | sed -n 's/^  \([a-z][a-z -]*[a-z]\)  *[A-Z].*/\1/p' >"$base/commands"
ok "help lists the commands" test "$(lines "$base/commands")" -gt 15

# What an example finds: tasks in several states, a job's run directory.  Those that change the queue itself have one of their own.
scene() {
	case $1 in
	queue* | init | config | serve) place "example $1" ;;
	*) place example ;;
	esac
	[ -d job ] && return
	LABTASKER_LOG_DIR=$PWD/job
	export LABTASKER_LOG_DIR
	mkdir job
	{
		labtasker submit --max-retries 1 -- --f 1
		labtasker loop -- sh -c 'exit 1 # $1' x '%(f)'
		for i in 1 2; do labtasker submit -- --prompt "a horse $i" --guidance_scale 7.5; done
		labtasker task cancel $(labtasker submit -- --c 1)
		labtasker task ls -s failed --json
	} >job/log 2>&1 </dev/null
	tail -n 1 job/log >job/task_info.json
}
# These go on until they are ended: they have to say something first.
endless() {
	case $1 in
	serve) await grep -q http out err ;;
	*) await grep -q . out err ;;
	esac
}

# ends PID: within 20 s of a TERM.
ends() {
	kill "$1"
	{ sleep 20; kill -9 "$1"; } >/dev/null 2>&1 &
	wait "$1" 2>/dev/null
	set -- $? $!
	kill "$2"
	[ "$1" -ne 137 ]
}

while read -r command; do
	ok "$command: help" status 0 "$lt" help $command
	ok "$command: --help is the same" sh -c '"$0" $1 --help | cmp -s - out' "$lt" "$command"
	example=$(sed -n '/^example:$/,$p' out | sed -n 's/^  //p')
	scene "$command"
	case $command in
	serve | "event listen")
		begin sh -c "exec $example"
		ok "$command: example: $example" endless "$command"
		ok "$command: TERM ends it" ends $!
		;;
	*)
		case $command in completion) sh=bash ;; *) sh=sh ;; esac
		command -v $sh >/dev/null || continue
		ok "$command: example: $example" status 0 $sh -c "$example"
		ok "$command: nothing is wrong with it" hasnt 'usage:\|unknown\|Invalid' err
		;;
	esac
done <"$base/commands"
unset LABTASKER_LOG_DIR

place completion
ok "no shell" status 2 "$lt" completion
ok "another shell" status 2 "$lt" completion fish
# complete SHELL WORDS...: what it offers for the last word.
if command -v bash >/dev/null; then
	complete() { bash -c 'eval "$(labtasker completion bash)"; COMP_WORDS=(labtasker "$@"); COMP_CWORD=$#; _labtasker; echo "${COMPREPLY[*]}"' x "$@"; }
	ok "bash: a command" same "$(complete heal)" health
	ok "bash: a group" same "$(complete que)" queue
	ok "bash: a command of a group" same "$(complete task in)" info
	ok "bash: an option" same "$(complete task ls --stat)" --status
	ok "bash: both of a flag" same "$(complete loop --no-use)" --no-use-pty
	ok "bash: a value" same "$(complete task ls -s p)" pending
	ok "bash: an alias" same "$(complete submit --prio)" --priority
	ok "bash: nothing of ours after --" same "$(complete loop -- he)" ""
fi
if command -v zsh >/dev/null; then
	complete() { zsh -fc 'compdef() { :; }; compadd() { shift; for w; do [[ $w = ${words[CURRENT]}* ]] && print -r -- $w; done; }; _files() { print files; }
		eval "$(labtasker completion zsh)"; words=(labtasker "$@"); CURRENT=$#words; _labtasker' x "$@" 2>&1; }
	ok "zsh: a command" same "$(complete heal)" health
	ok "zsh: a command of a group" same "$(complete task in)" info
	ok "zsh: an option" same "$(complete task ls --stat)" --status
	ok "zsh: a value" same "$(complete task ls -s p)" pending
	ok "zsh: files after --" same "$(complete loop -- he)" files
fi

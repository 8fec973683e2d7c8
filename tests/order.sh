#!/bin/sh
# SPDX-License-Identifier: MIT
# The order of use: within a room a file calls only files named before it, rooms know the ground floor and not each other (cli
# knows all), and the ground floor knows no room.  Read off the objects that run.sh made, with nm.
BIN=${BIN:-tests/bin}
ground='util sys json hash http tmpl date conf tls net locate wire call client'
server='server_tree server_regex server_value server_calc server_match server_index server_record server_queue server_show server_events server_live server_wait server_stats server_journal server_auth server_field server_ask server_api server_log server_conn server_claim server_serve'
worker='worker_guard worker_rundir worker_term worker_prompt worker_job worker_pipe worker_recipe worker_sink worker_progress worker_run worker_loop'
cli='cli_opt cli_out cli_tty cli_table cli_literal cli_when cli_expr cli_ask cli_select cli_fit cli_edit cli_dryrun cli_loopcmd cli_bulk cli_task cli_ls cli_update cli_delete cli_worker cli_queue cli_init cli_serve cli_finish cli_event cli_status cli_wait cli_logs cli_explain cli_dump cli_completion cli_cli'
passed=0 failed=0
sep=$(mktemp -d) || exit 2
trap 'rm -rf "$sep"' EXIT

for o in "$BIN"/*.o; do
	f=$(basename "$o" .o)
	nm -P -g "$o" | awk '$2 != "U" && $2 != "w" { print $1 }' | sort >"$sep/$f.def"
	nm -P -u "$o" | awk '{ print $1 }' | sort >"$sep/$f.use"
	case " $ground $server $worker $cli " in
	*" $f "*) ;;
	*) echo "order: $f.c is in no room's order: name it in tests/order.sh and DESIGN"; failed=$((failed + 1)) ;;
	esac
done

# may FILE ALLOWED...: FILE uses nothing that another of ours outside ALLOWED defines.
may() {
	file=$1
	shift
	[ -f "$sep/$file.use" ] || return
	for d in "$sep"/*.def; do
		other=$(basename "$d" .def)
		case " $file $* " in *" $other "*) continue ;; esac
		both=$(comm -12 "$sep/$file.use" "$d" | tr '\n' ' ')
		if [ -n "$both" ]; then
			echo "order: $file.c uses $both of $other.c, which stands after it or in another room"
			failed=$((failed + 1))
		else
			passed=$((passed + 1))
		fi
	done
}

room() {
	before=$1
	shift
	for f; do
		may "$f" $before
		before="$before $f"
	done
}
room "" $ground
room "$ground" $server
room "$ground" $worker
room "$ground worker_recipe worker_loop server_serve" $cli
echo "order: $passed passed, $failed failed"
[ "$failed" -eq 0 ]

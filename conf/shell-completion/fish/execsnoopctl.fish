# SPDX-License-Identifier: GPL-2.0-or-later
# Completion of execsnoopctl(1) for fish: what `execsnoopctl --completion-table` prints (src/ctl/command/completion.c).

set -g __execsnoopctl_table (execsnoopctl --completion-table 2>/dev/null)
set -g __execsnoopctl_commands
for line in $__execsnoopctl_table
    set -l parts (string split \t -- $line)
    test $parts[1] = command; and set -a __execsnoopctl_commands $parts[2]
end

# No command yet, or one of these; "-": any.
function __execsnoopctl_for
    not __fish_seen_subcommand_from $__execsnoopctl_commands; and return 0
    test "$argv[1]" = -; or __fish_seen_subcommand_from $argv
end

function __execsnoopctl_no_command
    not __fish_seen_subcommand_from $__execsnoopctl_commands
end

# Of a list with commas the last item is completed.
function __execsnoopctl_list
    set -l before (string match -r '^(?:--[a-z-]*=)?(.*,)?' -- (commandline -ct))[2]
    printf "$before%s\n" $argv
end

function __execsnoopctl_units
    systemctl list-units --all --plain --no-legend --no-pager 2>/dev/null | string replace -r ' .*' ''
end

# Which of the formats belong to the command.
function __execsnoopctl_formats
    set -l usual $argv
    for line in $__execsnoopctl_table
        set -l parts (string split \t -- $line)
        test $parts[1] = formats; and __fish_seen_subcommand_from $parts[2]; or continue
        if test $parts[3] = @file
            __fish_complete_path (commandline -ct)
        else
            string split ' ' -- $parts[3]
        end
        return
    end
    printf '%s\n' $usual
end

function __execsnoopctl_programs
    __fish_complete_command
    for line in $__execsnoopctl_table
        set -l parts (string split \t -- $line)
        test $parts[1] = key; and echo $parts[2]=
    end
end

complete -c execsnoopctl -f
for line in $__execsnoopctl_table
    set -l parts (string split \t -- $line)
    switch $parts[1]
        case command
            complete -c execsnoopctl -n __execsnoopctl_no_command -a $parts[2] -d "$parts[4]"
            set -l seen "__fish_seen_subcommand_from $parts[2]"
            switch $parts[3]
                case 'COMMAND*'
                    complete -c execsnoopctl -n $seen -x -a '(__fish_complete_subcommand --fcs-skip=2)'
                case 'PID*' '*UNIT*'
                    complete -c execsnoopctl -n $seen -x -a '(__fish_complete_pids)'
                    string match -q '*UNIT*' -- $parts[3]; and complete -c execsnoopctl -n $seen -x -a '(__execsnoopctl_units)'
                case 'A*'
                    complete -c execsnoopctl -n $seen -F
                case '*PROGRAM*'
                    complete -c execsnoopctl -n $seen -x -a '(__execsnoopctl_programs)'
            end
        case option
            set -l names -l (string replace -r '^--' '' -- $parts[3])
            test $parts[2] = -; or set -a names -s $parts[2]
            set -l for -n "__execsnoopctl_for $parts[6]"
            set -l values
            switch $parts[5]
                case @file
                    set values -r -F
                case @directory
                    set values -x -a '(__fish_complete_directories)'
                case @user
                    set values -x -a '(__fish_complete_users)'
                case @unit
                    set values -x -a '(__execsnoopctl_units)'
                case @host
                    set values -x -a '(__fish_print_hostnames)'
                case -
                    test $parts[4] = -; or set values -x
                case '*'
                    set values -x -a $parts[5]
                    contains -- $parts[3] --columns --by --type; and set values -x -a "(__execsnoopctl_list $parts[5])"
                    test $parts[3] = --output; and set values -x -a "(__execsnoopctl_formats $parts[5])"
            end
            # The value of `--boot` may be omitted.
            string match -q '[[]*' -- $parts[4]; and set values (string match -v -- -x $values)
            complete -c execsnoopctl $names $for $values -d "$parts[7]"
    end
end
complete -c execsnoopctl -n __execsnoopctl_no_command -a '(__execsnoopctl_programs)'

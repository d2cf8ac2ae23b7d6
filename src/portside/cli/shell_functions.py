"""What a shell completes by asking Portside: servers, their connections, and those of recordings.

Each is a function in the script of each shell. shtab's own way to run a command would not do: in zsh it runs when the
script is loaded, and in fish the quotes do not hold.
"""

from typing import Final

MOST_RECORDED = 500  # connections of a recording that are offered, the last ones
# The first column of a table without its heading.
_COLUMN: Final = "awk 'NR > 1 { print $1 }'"
_NAMED: Final = "portside ctl conns 2>/dev/null || portside ctl conns --all 2>/dev/null"  # 7, of several servers PID/7
_CONNECTIONS: Final = f"sh -c '{_NAMED}' | {_COLUMN}"
_SERVERS: Final = f"portside ctl servers 2>/dev/null | {_COLUMN}"
_RECORDED: Final = f'portside rec list -- "$dir" 2>/dev/null | {_COLUMN} | tail -n {MOST_RECORDED}'


def _listed(name: str, command: str) -> dict[str, object]:
    """Completion by the lines that a command writes."""
    return {
        "bash": f"_portside_{name}",
        "zsh": f"_portside_{name}",
        "fish": f"(__portside_{name})",
        "preamble": {
            "bash": f'_portside_{name}() {{\n  compgen -W "$({command})" -- "$1"\n}}',
            "zsh": f'_portside_{name}() {{\n  compadd -- ${{(f)"$({command})"}}\n}}',
            "fish": f"function __portside_{name}\n  {command}\nend",
        },
    }


CONNECTIONS: Final = _listed("connections", _CONNECTIONS)
SERVERS: Final = _listed("servers", _SERVERS)

# Folders, and behind one the numbers of its connections: DIR CONN …, or DIR:CONN. Bash makes three words of that.
_BASH: Final = f"""\
_portside_recorded_dir() {{
  local word=$1 at=$COMP_CWORD dir=
  if [[ $word == : ]]; then
    word= dir=${{COMP_WORDS[at-1]}}
  elif [[ ${{COMP_WORDS[at-1]}} == : ]]; then
    dir=${{COMP_WORDS[at-2]}}
  else
    while (( --at > 2 )) && [[ -z $dir ]]; do
      [[ -d ${{COMP_WORDS[at]/#~/$HOME}} ]] && dir=${{COMP_WORDS[at]}}
    done
  fi
  dir=${{dir/#~/$HOME}}
  [[ -n $dir ]] && compgen -W "$({_RECORDED})" -- "$word" && return
  compgen -d -- "$word"
}}"""
_ZSH: Final = f"""\
_portside_recorded() {{
  local dir at
  if compset -P '*:'; then
    dir=${{IPREFIX%:}}
  else
    for (( at = CURRENT - 1; at > 1; at-- )); do
      [[ -d ${{~words[at]}} ]] && {{ dir=${{words[at]}}; break }}
    done
  fi
  dir=${{~dir}}
  [[ -n $dir ]] && compadd -- ${{(f)"$({_RECORDED})"}} && return
  _files -/
}}"""
_FISH: Final = f"""\
function __portside_recorded
  set -l word (commandline -ct)
  set -l before (commandline -opc)
  set -l dir
  set -l head
  if string match -q '*:*' -- $word
    set dir (string replace -r ':[^:]*$' '' -- $word)
    set head "$dir:"
  else
    for each in $before[-1..4]
      test -d "$each"; and set dir $each; and break
    end
  end
  if test -n "$dir"
    for number in ({_RECORDED})
      echo "$head$number"
    end
  else
    __fish_complete_directories $word
  end
end"""
RECORDED: Final[dict[str, object]] = {
    "bash": "_portside_recorded_dir",
    "zsh": "_portside_recorded",
    "fish": "(__portside_recorded)",
    "preamble": {"bash": _BASH, "zsh": _ZSH, "fish": _FISH},
}

"""The rules language: files that define the answers to what clients send. docs/rules.md describes all of it.

    ruleset         the values: rules, answers, a rule set
    rules_file      a TOML file to a rule set; errors with their positions
    inline_rules    --reply options to a rule set
    toml_positions  where a key or a value of a TOML document stands
    patterns        conditions on a message as regular expressions of RE2
    template        what is sent, with variables, checksums and lengths
    matching        the rule of a state that matches a message: one dictionary and one RE2 set for all rules
    message_reader  a client's stream as the messages that rules see
    session         the state of one conversation, and what happens next in it
    lint            states and rules that can never apply
    transcript      an expected conversation, compared with the answers of the rules

All of it is pure: time, randomness and bytes come in as arguments.
"""

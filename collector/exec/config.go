package exec

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/pacewire/pacewire/internal/child"
	"github.com/pacewire/pacewire/internal/decode"
	"github.com/pacewire/pacewire/plugin"
)

// Config is what an operator may set.
type Config struct {
	Command     plugin.Strings    `json:"command" jsonschema:"the program and its arguments, as a list; the program may be a pattern, such as /etc/checks/*.sh, which is looked up at each run"`
	Shell       bool              `json:"shell" jsonschema:"command is one line, which /bin/sh reads"`
	User        string            `json:"user" jsonschema:"who the command runs as, by name or id; another one than that of the plugin takes root"`
	Environment map[string]string `json:"environment" jsonschema:"variables for the command, besides PATH, HOME, TZ, LC_ALL=C.UTF-8 and those that env names"`
	decode.Settings
	Stdin       bool `json:"stdin" jsonschema:"the command reads an event as Sensu gives it, one JSON object: timestamp, entity, check"`
	IgnoreError bool `json:"ignore_error" jsonschema:"points count whatever the exit code is"`
	State       bool `json:"state" jsonschema:"the exit code is a state, as of a Nagios or a Sensu check, and is told in check_state; so it always is in the format nagios"`
}

// Validate reports what is wrong with c.
func (c Config) Validate() error {
	faults := []error{child.CheckVariables(c.Environment), c.Settings.Check(decode.Formats())}
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	switch {
	case len(c.Command) == 0: // see New
	case c.Command[0] == "":
		fault("command: the program is empty: name one")
	case c.Shell && len(c.Command) > 1:
		fault("command %q: with shell: true it is one line, not a list", []string(c.Command))
	case !c.Shell && len(c.Command) == 1 && strings.ContainsAny(c.Command[0], " |;&<>$"):
		fault("command %q: no shell reads it: write the program and its arguments as a list, or set shell: true", c.Command[0])
	case c.pattern():
		if _, err := filepath.Match(c.Command[0], ""); err != nil || !filepath.IsAbs(c.Command[0]) {
			fault("command %q: want a pattern of whole paths, such as /etc/checks/*.sh", c.Command[0])
		}
	}
	return errors.Join(faults...)
}

package exec

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pacewire/pacewire/internal/decode"
	"github.com/pacewire/pacewire/plugin"
)

// Config is what an operator may set.
type Config struct {
	Command     plugin.Strings    `json:"command" jsonschema:"the program and its arguments, as a list; the program may be a pattern, such as /etc/checks/*.sh, which is looked up at each run"`
	Shell       bool              `json:"shell" jsonschema:"command is one line, which /bin/sh reads"`
	User        string            `json:"user" jsonschema:"who the command runs as, by name or id; another one than that of the plugin takes root"`
	Environment map[string]string `json:"environment" jsonschema:"variables for the command, besides PATH, HOME, TZ, LC_ALL=C.UTF-8 and those that env names"`
	Format      string            `json:"format" jsonschema:"what the command prints"`
	Precision   string            `json:"precision" jsonschema:"the unit of times in the format influx"`
	IgnoreError bool              `json:"ignore_error" jsonschema:"points count whatever the exit code is"`
	State       bool              `json:"state" jsonschema:"the exit code is a state, as of a Nagios or a Sensu check, and is told in check_state; so it always is in the format nagios"`
}

// Validate reports what is wrong with c.
func (c Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	switch {
	case len(c.Command) == 0: // see New
	case c.Command[0] == "":
		fault("command: the program is empty: name one")
	case c.Shell && len(c.Command) > 1:
		fault("command %q: with shell: true it is one line, not a list", []string(c.Command))
	case !c.Shell && len(c.Command) == 1 && strings.ContainsAny(c.Command[0], " |;&<>$"):
		fault("command %q: no shell reads it: write the program and its arguments as a list, or set shell: true", c.Command[0])
	}
	for name := range c.Environment {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.HasPrefix(name, "PACEWIRE_") {
			fault("environment %q: want the name of a variable, which does not begin with PACEWIRE_", name)
		}
	}
	if !slices.Contains(decode.Formats(), c.Format) {
		fault("format %q: want %s", c.Format, strings.Join(decode.Formats(), ", "))
	}
	if _, ok := units[c.Precision]; !ok {
		fault("precision %q: want ns, us, ms or s", c.Precision)
	}
	return errors.Join(faults...)
}

var units = map[string]time.Duration{"ns": time.Nanosecond, "us": time.Microsecond, "ms": time.Millisecond, "s": time.Second}

// options returns how what the command of a plugin prints is read.
func (c Config) options(plugin string) decode.Options {
	return decode.Options{Precision: units[c.Precision], Series: plugin}
}

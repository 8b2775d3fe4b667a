package nagios

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pacewire/pacewire/internal/child"
	"github.com/pacewire/pacewire/internal/decode/nagios"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// Config is what an operator may set.
type Config struct {
	Checks   map[string]Check `json:"checks" jsonschema:"the checks by their names: each a command, and what differs from defaults"`
	Defaults Manner           `json:"defaults" jsonschema:"what holds for checks that do not say it themselves"`
	Folders  plugin.Strings   `json:"folders" jsonschema:"where commands without a slash are looked for, after the PATH of the plugin"`
}

// A Check is a command and how it is run.
type Check struct {
	Command plugin.Strings `json:"command" jsonschema:"the program and its arguments, as a list; no shell reads them"`
	Manner
}

// Manner is how a check is run and read. What is zero is not said.
type Manner struct {
	Every         plugin.Duration   `json:"every,omitzero" jsonschema:"how often it is run"`
	Timeout       plugin.Duration   `json:"timeout,omitzero" jsonschema:"how long a run may take; not more than every"`
	Attempts      int               `json:"attempts,omitzero" jsonschema:"how many runs in a row have to find a problem before its state is a hard one, and an event is raised"`
	RetryEvery    plugin.Duration   `json:"retry_every,omitzero" jsonschema:"how often it is run until then"`
	Units         string            `json:"units,omitzero" jsonschema:"as_is: values as they are given; base: besides in seconds and bytes"`
	Kilo          int               `json:"kilo,omitzero" jsonschema:"with units base: what the check means by a k, 1000 or 1024; Ki is always 1024"`
	NoOutputState string            `json:"no_output_state,omitzero" jsonschema:"the state of a check that prints nothing: exit_code, ok, warning, critical or unknown"`
	TimeoutState  string            `json:"timeout_state,omitzero" jsonschema:"the state of a check that takes too long: ok, warning, critical or unknown"`
	Environment   map[string]string `json:"environment,omitzero" jsonschema:"variables for the check, besides PATH, HOME, TZ, LC_ALL=C.UTF-8 and those that env names"`
	User          string            `json:"user" jsonschema:"who the check runs as, by name or id; another one than that of the plugin takes root"`
}

// The words for units and states.
const (
	unitsAsIs = "as_is"
	unitsBase = "base"
	byCode    = "exit_code"
)

// Defaults returns the config of an operator who says nothing.
func Defaults() Config {
	return Config{
		Checks: map[string]Check{},
		Defaults: Manner{
			Every: plugin.Duration(time.Minute), Timeout: plugin.Duration(30 * time.Second),
			Attempts: 3, RetryEvery: plugin.Duration(10 * time.Second),
			Units: unitsAsIs, Kilo: 1000, NoOutputState: byCode, TimeoutState: "unknown", Environment: map[string]string{},
		},
		Folders: plugin.Strings{"/usr/lib/nagios/plugins", "/usr/lib64/nagios/plugins", "/usr/lib/monitoring-plugins", "/usr/local/nagios/libexec"},
	}
}

// or returns m, and for what it does not say what other says. Variables are those of both.
func (m Manner) or(other Manner) Manner {
	environment := map[string]string{}
	maps.Copy(environment, other.Environment)
	maps.Copy(environment, m.Environment)
	return Manner{
		Every: cmp.Or(m.Every, other.Every), Timeout: cmp.Or(m.Timeout, other.Timeout),
		Attempts: cmp.Or(m.Attempts, other.Attempts), RetryEvery: cmp.Or(m.RetryEvery, other.RetryEvery),
		Units: cmp.Or(m.Units, other.Units), Kilo: cmp.Or(m.Kilo, other.Kilo),
		NoOutputState: cmp.Or(m.NoOutputState, other.NoOutputState), TimeoutState: cmp.Or(m.TimeoutState, other.TimeoutState),
		Environment: environment, User: cmp.Or(m.User, other.User),
	}
}

// whole returns a check with all that is said of it, here or elsewhere.
func (c Config) whole(name string) Check {
	check := c.Checks[name]
	check.Manner = check.or(c.Defaults).or(Defaults().Defaults)
	check.Timeout = min(check.Timeout, check.Every)
	return check
}

// options returns how what a check prints is read.
func (m Manner) options() nagios.Options {
	o := nagios.Options{}
	if state, ok := nagios.ParseState(m.NoOutputState); ok {
		o.NoOutput = &state
	}
	if state, ok := nagios.ParseState(m.TimeoutState); ok {
		o.TimedOut = &state
	}
	if m.Units == unitsBase {
		o.Kilo = m.Kilo
	}
	return o
}

// Alone tells that the states of checks are counted by one process.
func (c Config) Alone() error {
	return errors.New("two processes would run each check twice, and count its attempts apart")
}

// Validate reports what is wrong with c.
func (c Config) Validate() error {
	faults := []error{c.Defaults.validate("defaults")}
	for _, name := range slices.Sorted(maps.Keys(c.Checks)) {
		check := c.Checks[name]
		faults = append(faults, check.validate("checks."+name, name), check.validateWith(c.whole(name), "checks."+name))
	}
	return errors.Join(faults...)
}

func (c Check) validate(at, name string) error {
	var err error
	switch {
	case name == "" || len(name) > telemetry.MaxTagValue:
		err = fmt.Errorf("%s: want a name of 1 to %d bytes", at, telemetry.MaxTagValue)
	case len(c.Command) == 0 || c.Command[0] == "":
		err = fmt.Errorf("%s.command is empty: name a program and its arguments, such as [check_load, -w, \"5\", -c, \"10\"]", at)
	case len(c.Command) == 1 && strings.ContainsAny(c.Command[0], " |;&<>$"):
		err = fmt.Errorf("%s.command %q: no shell reads it: write the program and its arguments as a list", at, c.Command[0])
	}
	if i := slices.IndexFunc(c.Command, macro.MatchString); err == nil && i >= 0 {
		err = fmt.Errorf("%s.command %q: this is a macro of Nagios, which nobody fills in here: write what it stands for; of $USER1$/check_load check_load is enough", at, c.Command[i])
	}
	return errors.Join(err, c.Manner.validate(at))
}

// macro is what Nagios fills in before it runs a check.
var macro = regexp.MustCompile(`\$(USER\d+|ARG\d+|_?(HOST|SERVICE|CONTACT)[A-Z0-9_]*)\$`)

// validateWith reports what a check says that means nothing beside what else holds for it.
func (c Check) validateWith(whole Check, at string) error {
	var faults []error
	if c.Timeout > whole.Every && whole.Every > 0 {
		faults = append(faults, fmt.Errorf("%s.timeout %v: a run that takes longer than every (%v) is ended: want no more than that, or a longer every", at, c.Timeout, whole.Every))
	}
	if c.Kilo != 0 && whole.Units != unitsBase {
		faults = append(faults, fmt.Errorf("%s.kilo %d: nothing is told in bytes without units: base", at, c.Kilo))
	}
	return errors.Join(faults...)
}

// shortest is how often a check may be run.
const shortest = time.Second

func (m Manner) validate(at string) error {
	var faults []error
	fault := func(key string, value any, want string) {
		faults = append(faults, fmt.Errorf("%s.%s %v: want %s", at, key, value, want))
	}
	for key, d := range map[string]plugin.Duration{"every": m.Every, "retry_every": m.RetryEvery} {
		if d != 0 && d.Std() < shortest {
			fault(key, d, shortest.String()+" or more")
		}
	}
	if m.Timeout < 0 {
		fault("timeout", m.Timeout, "a time, such as 30s")
	}
	if m.Attempts < 0 {
		fault("attempts", m.Attempts, "1 or more")
	}
	if !slices.Contains([]string{"", unitsAsIs, unitsBase}, m.Units) {
		fault("units", m.Units, unitsAsIs+" or "+unitsBase)
	}
	if !slices.Contains([]int{0, 1000, 1024}, m.Kilo) {
		fault("kilo", m.Kilo, "1000 or 1024")
	}
	if _, ok := nagios.ParseState(m.NoOutputState); !ok && m.NoOutputState != "" && m.NoOutputState != byCode {
		fault("no_output_state", m.NoOutputState, "exit_code, ok, warning, critical or unknown")
	}
	if _, ok := nagios.ParseState(m.TimeoutState); !ok && m.TimeoutState != "" {
		fault("timeout_state", m.TimeoutState, "ok, warning, critical or unknown")
	}
	if err := child.CheckVariables(m.Environment); err != nil {
		faults = append(faults, fmt.Errorf("%s.%w", at, err))
	}
	slices.SortFunc(faults, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	return errors.Join(faults...)
}

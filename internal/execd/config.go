// Package execd keeps a program running that reads or prints points on lines, as execd programs of Telegraf do.
package execd

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/pacewire/pacewire/internal/child"
	"github.com/pacewire/pacewire/plugin"
)

// Config is what an operator may set for a program, whatever its kind.
type Config struct {
	Command      plugin.Strings    `json:"command" jsonschema:"the program and its arguments, as a list; no shell reads it"`
	Environment  map[string]string `json:"environment" jsonschema:"variables for the program, besides PATH, HOME, TZ, LC_ALL=C.UTF-8 and those that env names"`
	User         string            `json:"user" jsonschema:"who the program runs as, by name or id; another one than that of the plugin takes root"`
	Dir          string            `json:"dir" jsonschema:"the folder it works in; empty: that of the plugin, or / with user"`
	RestartDelay plugin.Duration   `json:"restart_delay" jsonschema:"how long after its end the program is started again; twice as long each time, up to 5m, until it has run for a minute"`
	StopOnError  bool              `json:"stop_on_error" jsonschema:"an exit code other than 0 is final: the program is not started again"`
	Stderr       string            `json:"stderr" jsonschema:"the level of lines on standard error that do not begin with E!, W!, I!, D! or T!"`
}

// Defaults returns the config of an operator who says nothing.
func Defaults() Config {
	return Config{
		Command: plugin.Strings{}, Environment: map[string]string{}, RestartDelay: plugin.Duration(10 * time.Second), Stderr: "error",
	}
}

// Enum returns the values of the settings that have few.
func Enum() map[string][]any {
	return map[string][]any{"stderr": {"error", "warn", "info", "debug"}}
}

// Validate reports what is wrong with c. A command may be missing: New has nothing to do then.
func (c Config) Validate() error {
	faults := []error{child.CheckVariables(c.Environment)}
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	switch {
	case len(c.Command) == 0:
	case c.Command[0] == "":
		fault("command: the program is empty: name one")
	case len(c.Command) == 1 && strings.ContainsAny(c.Command[0], " |;&<>$"):
		fault("command %q: no shell reads it: write the program and its arguments as a list", c.Command[0])
	}
	if c.RestartDelay < 0 {
		fault("restart_delay %v: want 0s or more, such as 10s", c.RestartDelay)
	}
	if _, err := c.level(); err != nil {
		fault("stderr %q: want error, warn, info or debug", c.Stderr)
	}
	return errors.Join(faults...)
}

func (c Config) level() (level slog.Level, err error) {
	return level, level.UnmarshalText([]byte(c.Stderr))
}

// spec says what is to be run. Nothing of what is between the plugin and the bus reaches it.
func (c Config) spec(log *slog.Logger) (child.Spec, error) {
	env, noUser := child.EnvironOf(os.Environ(), c.User, c.Environment)
	level, noLevel := c.level()
	return child.Spec{Command: c.Command, Env: env, Dir: c.Dir, User: c.User, Stderr: child.Log(log, level)}, errors.Join(noUser, noLevel)
}

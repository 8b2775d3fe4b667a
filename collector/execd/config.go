package execd

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/pacewire/pacewire/internal/decode"
	"github.com/pacewire/pacewire/internal/execd"
	"github.com/pacewire/pacewire/plugin"
)

// Config is what an operator may set.
type Config struct {
	execd.Config
	decode.Settings
	Trigger string          `json:"trigger" jsonschema:"what tells the program at each interval to print: none (it knows when), newline (on its standard input), or a signal"`
	Flush   plugin.Duration `json:"flush" jsonschema:"how long points may wait for others to travel with"`
	Silence plugin.Duration `json:"silence" jsonschema:"a program that prints nothing for so long is ended and started again; 0s: only after 30s in which it does not read its triggers either"`
}

// Defaults returns the config of an operator who says nothing.
func Defaults() Config {
	return Config{
		Config: execd.Defaults(), Settings: decode.DefaultSettings("influx"), Trigger: none, Flush: plugin.Duration(100 * time.Millisecond),
	}
}

// Enum returns the values of the settings that have few.
func Enum() map[string][]any {
	enum := execd.Enum()
	maps.Copy(enum, decode.Enum(formats()))
	enum["trigger"] = []any{none, newline, "SIGHUP", "SIGUSR1", "SIGUSR2"}
	return enum
}

// formats are those whose points end with their lines.
func formats() []string {
	return slices.DeleteFunc(decode.Formats(), func(f string) bool { return !decode.Lined(f) })
}

// Validate reports what is wrong with c.
func (c Config) Validate() error {
	faults := []error{c.Config.Validate(), c.Settings.Check(formats())}
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if _, ok := signals[c.Trigger]; !ok && c.Trigger != none && c.Trigger != newline {
		fault("trigger %q: want none, newline, SIGHUP, SIGUSR1 or SIGUSR2", c.Trigger)
	}
	if f := c.Flush.Std(); f < 0 || f > time.Minute {
		fault("flush %v: want 0s to 1m, such as 100ms", c.Flush)
	}
	if c.Silence < 0 {
		fault("silence %v: want 0s or more, such as 5m", c.Silence)
	}
	return errors.Join(faults...)
}

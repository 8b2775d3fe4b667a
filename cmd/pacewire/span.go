package main

import (
	"time"

	"github.com/spf13/pflag"

	"github.com/pacewire/pacewire/agent/config"
)

// A spanValue is a duration as the flags have it: as the config does, days too.
type spanValue time.Duration

// spanFlag defines a flag that is a duration.
func spanFlag(f *pflag.FlagSet, to *time.Duration, name, short string, otherwise time.Duration, usage string) {
	*to = otherwise
	f.VarP((*spanValue)(to), name, short, usage)
}

func (s *spanValue) Set(text string) error {
	d, err := time.ParseDuration(text) // 0, and what is below: the verb knows what it wants instead
	if err != nil || d > 0 {
		d, err = config.ParseDuration(text)
	}
	*s = spanValue(d)
	return err
}

func (s *spanValue) String() string {
	if *s == 0 {
		return "" // a default that help does not show
	}
	return shortest(time.Duration(*s))
}

// Type is what help calls the value.
func (s *spanValue) Type() string { return "duration" }

// shortest writes a duration without what is 0 in it: 24h, not 24h0m0s.
func shortest(d time.Duration) string {
	text := d.String()
	if n := len(text); n > 3 && text[n-3:] == "m0s" {
		text = text[:n-2]
	}
	if n := len(text); n > 3 && text[n-3:] == "h0m" {
		text = text[:n-2]
	}
	return text
}

// Package child runs a program within limits: of time, of what it prints, and of what it leaves behind.
package child

import (
	"cmp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/pacewire/pacewire/internal/process"
)

// A Spec says what to run. There is no shell between us and the program.
type Spec struct {
	// Command is the program and its arguments; the program is looked for on the PATH of Env.
	Command []string
	// Env is the whole environment, as "KEY=value": see Environ.
	Env []string
	// Dir is the working directory, by default our own, or / for a User: another one may not be allowed to enter ours.
	Dir string
	// User is who the program runs as, by name or id; empty is our own user.
	User string
	// Groups are those it has in the place of the user's, by name or id.
	Groups []string
	// Limits bound the program and all it starts.
	Limits process.Limits
	// Stderr gets each line of it, without its end, on a goroutine of its own; the line is valid during the call. Lines that come
	// too fast are left out, and told as one. Nil discards them.
	Stderr func(line []byte)
	// Grace is what a program has between SIGTERM and SIGKILL (2 s).
	Grace time.Duration
}

// grace is what a program has between SIGTERM and SIGKILL unless the spec says otherwise.
const grace = 2 * time.Second

func (s Spec) grace() time.Duration { return cmp.Or(s.Grace, grace) }

// command is what starts the program. It dies with us, whatever ends us.
func (s Spec) command() process.Command {
	dir := s.Dir
	if dir == "" && s.User != "" {
		dir = "/"
	}
	return process.Command{
		Args: s.Command, Env: s.Env, Dir: dir, User: s.User, Groups: s.Groups, Limits: s.Limits,
		OnParentDeath: syscall.SIGKILL,
	}
}

// locale makes numbers have points and text be UTF-8, whatever ours is.
const locale = "LC_ALL=C.UTF-8"

// Environ returns the environment of a program: own, that of the process which starts it, without what is between agent and
// plugin (credentials for the bus are there), with a locale that programs read and write numbers by, and with more. Of two entries for one
// name the later counts.
func Environ(own []string, more ...string) []string {
	var env []string
	for _, entry := range own {
		if !private(entry) {
			env = append(env, entry)
		}
	}
	return append(append(env, locale), more...)
}

// private reports whether an entry of our own environment is not for programs: what is between agent and plugin, the locale, and
// what keeps a plugin of ours small.
func private(entry string) bool {
	return entry == "GOGC=50" || entry == "GOMAXPROCS=1" || slices.ContainsFunc([]string{"PACEWIRE_", "LC_", "LANG=", "LANGUAGE="}, func(prefix string) bool {
		return strings.HasPrefix(entry, prefix)
	})
}

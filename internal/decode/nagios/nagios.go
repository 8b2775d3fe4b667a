// Package nagios reads what a Nagios check leaves: its exit code and what it has printed.
package nagios

import (
	"cmp"
	"strings"
	"time"
)

// A State is what a check says of what it looked at.
type State int

// The states, by the exit codes that mean them.
const (
	OK State = iota
	Warning
	Critical
	Unknown
)

var stateNames = [...]string{"OK", "WARNING", "CRITICAL", "UNKNOWN"}

// String returns the name of a state as Nagios writes it.
func (s State) String() string {
	if s < OK || s > Unknown {
		return stateNames[Unknown]
	}
	return stateNames[s]
}

// ParseState returns the state of a name, in letters of any size.
func ParseState(name string) (State, bool) {
	for i, known := range stateNames {
		if strings.EqualFold(name, known) {
			return State(i), true
		}
	}
	return Unknown, false
}

// Why a state is not simply that of the exit code. A run may have other reasons of its own: see Run.
const (
	NotExecutable = "not_executable" // exit code 126
	NotFound      = "not_found"      // exit code 127
	ExitCode      = "exit_code"      // an exit code that means no state
	NoOutput      = "no_output"      // nothing on standard output
	TimedOut      = "timed_out"      // it was ended because it took too long
)

// A Run is what one run of a check has left.
type Run struct {
	Stdout, Stderr string
	Code           int    // the exit code; below 0 there is none
	Reason         string // why there is none, such as TimedOut; "" if there is one
	Truncated      bool   // Stdout is not all of it
	Took           time.Duration
}

// Options are what an operator may decide otherwise than the rules do.
type Options struct {
	NoOutput *State // of a check that prints nothing; nil: that of its exit code
	TimedOut *State // of a check that takes too long; nil: UNKNOWN
	Kilo     int    // 1000 or 1024, what the check means by a k: values are told in base units too; 0: they are not
}

// A Check is what a run says.
type Check struct {
	Run
	State    State
	Reason   string // why the state is not simply that of the exit code; "" if it is
	Text     string // the first line up to its bar; of a check that printed nothing the first line on standard error
	LongText string // the lines after it
	Perf     []Item
	Faults   []Fault        // of what stands behind the bars, the first of them
	Bad      map[string]int // how many there are, by their codes
}

// Silent reports whether the check has printed nothing.
func (c Check) Silent() bool { return strings.TrimSpace(c.Stdout) == "" }

// Parse reads a run. The state follows from the exit code alone: what a check prints proves nothing.
func Parse(r Run, o Options) Check {
	c := Check{Run: r}
	c.State, c.Reason = stateOf(r)
	var perf string
	c.Text, c.LongText, perf = split(r.Stdout)
	c.Perf, c.Faults, c.Bad = ParsePerf(perf)
	if c.Silent() {
		c.Reason = cmp.Or(c.Reason, NoOutput)
		c.Text = firstLine(r.Stderr)
	}
	switch {
	case c.Reason == NoOutput && o.NoOutput != nil:
		c.State = *o.NoOutput
	case c.Reason == TimedOut && o.TimedOut != nil:
		c.State = *o.TimedOut
	}
	return c
}

// Mend returns an output of which something is missing in the middle, at gap, without the words there that are not whole: half a number
// is a number too.
func Mend(stdout string, gap int) string {
	const longest = 1 << 10 // bytes; what is longer is no item
	before, after := stdout[:gap], stdout[gap:]
	if i := strings.LastIndexAny(before, blanks); len(before)-i <= longest {
		before = before[:i+1]
	}
	if i := strings.IndexAny(after, blanks); i >= 0 && i < longest {
		after = after[i:]
	}
	return before + " " + after
}

// stateOf returns the state that the end of a run means.
func stateOf(r Run) (State, string) {
	switch {
	case r.Reason != "":
		return Unknown, r.Reason
	case r.Code >= int(OK) && r.Code <= int(Unknown):
		return State(r.Code), ""
	case r.Code == 126:
		return Unknown, NotExecutable
	case r.Code == 127:
		return Unknown, NotFound
	}
	return Unknown, ExitCode
}

// split takes a check's output apart. Line 1 is the text, a bar, and items; of the lines behind it the first with a bar ends the
// long text, and all after that bar is items again.
func split(stdout string) (text, long, perf string) {
	first, rest, _ := strings.Cut(withoutReturns(stdout), "\n")
	text, perf, _ = strings.Cut(first, "|")
	long, more, _ := strings.Cut(rest, "|")
	return strings.TrimSpace(text), strings.TrimRight(long, blanks), perf + " " + more
}

// withoutReturns returns a text whose lines do not end with carriage returns.
func withoutReturns(text string) string {
	if strings.IndexByte(text, '\r') < 0 {
		return text
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		line, ended := strings.CutSuffix(line, "\n")
		b.WriteString(strings.TrimRight(line, "\r"))
		if ended {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// blanks are what stands between items.
const blanks = " \t\r\n\v\f"

// firstLine returns the first line of a text that has something on it.
func firstLine(text string) string {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			return line
		}
	}
	return ""
}

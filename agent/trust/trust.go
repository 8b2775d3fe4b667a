// Package trust decides whether a program may be executed.
package trust

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// Level says what becomes of a program with findings. The zero value is the strictest, Enforce.
type Level string

// The levels. A pin that does not match, and a file that is no program, are refused at each of them.
const (
	Off     Level = "off"     // nothing but the pin is looked at
	Warn    Level = "warn"    // findings are told, and the program runs
	Enforce Level = "enforce" // a program with a finding is refused
)

// Policy is what a program has to show.
type Policy struct {
	Level Level

	// SHA256 is the pin, in hex: no other bytes run. Empty: any.
	SHA256 string

	// Keys is the folder of public keys (*.pem) that programs are signed with. Empty: nobody signs.
	Keys string

	// Unsigned lets programs run at Enforce without a signature where there are no keys to check one with.
	Unsigned bool

	// Dir is the plugin directory that the file must not lead out of. Empty: it may be anywhere.
	Dir string
}

// strict reports whether a finding refuses the program.
func (p Policy) strict() bool { return p.Level != Off && p.Level != Warn }

// blind reports whether nothing that the bytes are could refuse the program.
func (p Policy) blind() bool { return p.Level == Off && p.SHA256 == "" }

// holds reports whether the bytes that run have to be those that were checked: without a refusal that they could
// escape, a program runs from where it lies.
func (p Policy) holds() bool { return p.strict() || p.SHA256 != "" }

// Code is the name of a finding, as logs and states show it.
type Code string

// The codes of findings.
const (
	NotFound      Code = "not_found"            // there is no such file
	NotExecutable Code = "not_executable"       // it is no regular file, or nobody may execute it
	Insecure      Code = "insecure_permissions" // somebody besides root and the agent's user may put another program in its place
	Checksum      Code = "checksum_mismatch"    // it is not what the pin says
	BadSignature  Code = "bad_signature"        // its signature is not by a known key, or of other bytes
	Unsigned      Code = "unsigned"             // neither a signature nor a pin vouches for it
	Mismatch      Code = "manifest_mismatch"    // it introduces itself as something else than it described
)

// fatal reports whether the finding refuses the program at every level.
func (c Code) fatal() bool { return c == NotFound || c == NotExecutable || c == Checksum }

// A Finding is one thing that is wrong with a program.
type Finding struct {
	Code   Code
	Detail string // a sentence with the file, what is wrong, and the way out
}

// String returns code and detail in one line.
func (f Finding) String() string { return string(f.Code) + ": " + f.Detail }

func finding(code Code, format string, args ...any) Finding {
	return Finding{code, fmt.Sprintf(format, args...)}
}

// A Verdict is what was found out about a program.
type Verdict struct {
	Path     string    // as it was asked for
	Real     string    // where that leads to, links followed
	SHA256   string    // of the bytes that were checked, lower-case hex; empty when nothing asked for it
	SignedBy string    // the name of the key's file without .pem; empty: by nobody known
	Findings []Finding // also those that did not refuse it

	// Args is what to execute: the command, with what holds the checked bytes in the place of the file's name.
	Args []string

	// File holds the checked bytes of a binary while Args[0] is started; Close when that is done. It is nil for a
	// script, whose bytes are in a copy, and when the bytes that run need not be those that were checked.
	File *os.File
}

// Close lets go of the file. The program may have been started before, and goes on.
func (v *Verdict) Close() error {
	if v.File == nil {
		return nil
	}
	err := v.File.Close()
	v.File = nil
	return err
}

// ErrBusy says that a file is being written. It is neither good nor bad yet: try again later.
var ErrBusy = errors.New("is being written")

// A Refusal is the error of a program that must not be executed. Until something has changed it is no use to try again.
type Refusal struct {
	Path     string
	Findings []Finding // what refuses it first; at least one
}

// Error returns all findings in one line.
func (r *Refusal) Error() string {
	texts := make([]string, len(r.Findings))
	for i, f := range r.Findings {
		texts[i] = f.String()
	}
	return "refused: " + strings.Join(texts, "; ")
}

// judge returns the refusal of a program with these findings, or nil.
func (p Policy) judge(path string, all []Finding) error {
	var against, rest []Finding
	for _, f := range all {
		if f.Code.fatal() || p.strict() {
			against = append(against, f)
		} else {
			rest = append(rest, f)
		}
	}
	if len(against) == 0 {
		return nil
	}
	return &Refusal{Path: path, Findings: append(against, rest...)}
}

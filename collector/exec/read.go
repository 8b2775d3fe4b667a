package exec

import (
	"bytes"
	"cmp"
	"path/filepath"
	"strings"

	"github.com/pacewire/pacewire/internal/child"
	"github.com/pacewire/pacewire/internal/decode"
	"github.com/pacewire/pacewire/internal/decode/nagios"
	"github.com/pacewire/pacewire/internal/decode/report"
	"github.com/pacewire/pacewire/telemetry"
)

const (
	// maxOutput is how much is kept of what a command prints. It is read to its end in any case.
	maxOutput = 8 << 20

	// Of a check the end is kept as well: what it has measured may stand there.
	checkHead, checkTail = 48 << 10, 16 << 10
)

// kept returns how much is kept of what the command prints, of the begin and of the end.
func (c Config) kept() (head, tail int) {
	if isCheck(decode.Canonical(c.Format)) {
		return checkHead, checkTail
	}
	return maxOutput, 0
}

// isCheck reports whether the exit code of a command with such output is what it has to say.
func isCheck(format string) bool { return format == "nagios" }

// formatOf returns the format of what a run has printed.
func (c Config) formatOf(r run) string {
	if c.Format != "auto" || r.err != nil || r.Late {
		return decode.Canonical(c.Format)
	}
	return cmp.Or(decode.Detect(r.Stdout), "nagios") // plain text is that of a check
}

// check returns what a run says as a check.
func (c Config) check(r run, format string) nagios.Check {
	said := nagios.Run{Stdout: string(r.Stdout), Stderr: string(r.Stderr), Code: r.Exit.Code, Reason: r.Reason(), Truncated: r.Cut, Took: r.Took}
	if r.err != nil {
		said.Code, said.Stdout = -1, r.err.Error()
	}
	if isCheck(format) {
		if r.Cut && isCheck(decode.Canonical(c.Format)) {
			said.Stdout = nagios.Mend(said.Stdout, checkHead)
		}
		return nagios.Parse(said, nagios.Options{})
	}
	said.Stdout = "" // which are points
	check := nagios.Parse(said, nagios.Options{})
	check.Reason, check.Text, check.Perf, check.Faults = said.Reason, cmp.Or(r.LastLine, r.Exit.String()), nil, nil
	return check
}

// checkName returns what a check is called: as the plugin, or where a pattern finds several as its program, with as many of its folders
// as the pattern leaves open.
func (c Config) checkName(r run, plugin string) string {
	if !c.pattern() {
		return plugin
	}
	fixed := c.Command[0]
	for strings.ContainsAny(fixed, wild) {
		fixed = filepath.Dir(fixed)
	}
	return strings.TrimPrefix(strings.TrimPrefix(r.name(), fixed), "/")
}

// A reader has the decoder of each format that it has met.
type reader struct {
	settings decode.Settings
	plugin   string
	decoders map[string]decode.Decoder
}

// read adds the points of what a run has printed to out.
func (d *reader) read(r child.Result, format string, out *telemetry.Batch) (report.Report, error) {
	if d.decoders[format] == nil {
		made, err := d.settings.Decoder(format, d.plugin)
		if err != nil {
			return report.Report{}, err
		}
		d.decoders[format] = made
	}
	text := r.Stdout
	if r.Cut { // within a line: half a number is a number too
		text = text[:bytes.LastIndexByte(text, '\n')+1]
	}
	return d.decoders[format].Decode(out, text, out.Time()), nil
}

package exec

import (
	"context"
	"errors"
	"strings"

	"github.com/pacewire/pacewire/internal/child"
	"github.com/pacewire/pacewire/internal/decode"
	"github.com/pacewire/pacewire/internal/decode/nagios"
	"github.com/pacewire/pacewire/internal/decode/report"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// A Trial is one run of a command with all that a person may want to know of it.
type Trial struct {
	Command string
	Fault   error // it could not be started
	child.Result
	Reason string           // why it has no exit code of its own
	Format string           // what its output was read as
	State  nagios.State     // what its end means for a check
	Check  bool             // State is what it wants to say
	Points *telemetry.Batch // what was read
	Report report.Report
}

// Try runs the command of cfg as a collector of that config does once, and tells what there is to tell. Points are told of failed
// runs too.
func Try(ctx context.Context, cfg Config, env plugin.Env) ([]Trial, error) {
	e, err := newExecutor(cfg, env)
	if err != nil {
		return nil, err
	}
	runs, err := e.run(ctx)
	var trials []Trial
	for _, r := range runs {
		trial, err := e.tried(r)
		if err != nil {
			return nil, err
		}
		trials = append(trials, trial)
	}
	return trials, err
}

// Read reads text as a collector of that config would, had its command printed it and ended well. Text that looks like no format is an
// error for the format auto, since there is no exit code that would be a check's state.
func Read(cfg Config, env plugin.Env, text []byte) (Trial, error) {
	if cfg.Format == "auto" && decode.Detect(text) == "" {
		return Trial{}, errors.New("its first lines look like none of the formats: name one")
	}
	e, err := newExecutor(cfg, env)
	if err != nil {
		return Trial{}, err
	}
	return e.tried(run{Result: child.Result{Stdout: text}})
}

func (e *executor) tried(r run) (t Trial, err error) {
	format := e.cfg.formatOf(r)
	check := e.cfg.check(r, format)
	t = Trial{
		Command: strings.Join(r.command, " "), Fault: r.err, Result: r.Result, Reason: r.Reason(),
		Format: format, State: check.State, Check: isCheck(format) || e.cfg.State, Points: &telemetry.Batch{},
	}
	t.Points.At(r.ended())
	if t.Check {
		e.tellState(r, format, t.Points)
	}
	if !isCheck(format) {
		t.Report, err = e.reader.read(r.Result, format, t.Points)
		return t, err
	}
	t.Report.Points = t.Points.Len()
	for _, f := range check.Faults {
		t.Report.Refuse(f.Code, 0, "%s", f.Text)
	}
	return t, nil
}

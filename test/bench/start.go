package main

import (
	"context"
	_ "embed" // the script
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/pacewire/pacewire/internal/process"
)

// script is a collector in Python that uses no library.
//
//go:embed testdata/script.py
var script []byte

// starts measures how soon a plugin works after its process has been started: a built-in, and a script. The first tick of a
// collector comes somewhere within its interval, so that is as short as can be. Files are in the page cache.
func starts(ctx context.Context, s settings) (rows []row, err error) {
	path := filepath.Join(s.dir, "script.py")
	if err := os.WriteFile(path, script, 0o600); err != nil {
		return nil, err
	}
	for _, p := range []struct {
		what, name, program string
		beside              [][]string // commands that do next to nothing
	}{
		{"the built-in host", "host", "use: host", [][]string{{"true"}, {s.binary, "version"}}},
		{"a script in Python", "script", fmt.Sprintf("run: [python3, %q]", path), [][]string{{"python3", "-c", "pass"}}},
	} {
		r := row{what: fmt.Sprintf("start of %s, ms from exec to hello / running / first point, p50 of %d", p.what, s.starts)}
		if _, err := exec.LookPath(p.beside[0][0]); err != nil {
			r.figure = err.Error()
			rows = append(rows, r)
			continue
		}
		took, err := s.started(ctx, "start-"+p.name, p.name, p.program)
		if err != nil {
			return rows, err
		}
		r.figure = fmt.Sprintf("%.0f / %.0f / %.0f", took[hello], took[running], took[point])
		if r.reference, err = s.beside(took[point], p.beside); err != nil {
			return rows, err
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// beside says how long commands take, and how many times as long the figure is.
func (s settings) beside(figure float64, commands [][]string) (string, error) {
	var parts []string
	for _, c := range commands {
		took, err := s.ran(c...)
		if err != nil {
			return "", err
		}
		name := strings.Join(append([]string{filepath.Base(c[0])}, c[1:]...), " ")
		parts = append(parts, fmt.Sprintf("%s: %.1f (x %.1f)", name, took, figure/took))
	}
	return "exec to exit of " + strings.Join(parts, ", of "), nil
}

// started starts a collector s.starts times, and returns the median of what each step takes, in ms.
func (s settings) started(ctx context.Context, dir, name, program string) (p50 [steps]float64, err error) {
	sys, err := start(ctx, s, dir, fmt.Sprintf("host: bench\ncollect:\n  %s: { %s, every: 10ms }\n", name, program))
	if err != nil {
		return p50, err
	}
	defer sys.stop()
	o, err := sys.observe(ctx, name)
	if err != nil {
		return p50, err
	}
	defer o.close()
	var all [steps][]float64
	for range s.starts {
		took, err := o.restart(ctx)
		if err != nil {
			return p50, err
		}
		for i, d := range took {
			all[i] = append(all[i], ms(d))
		}
	}
	for i := range all {
		p50[i], _ = spread(all[i])
	}
	return p50, nil
}

// ran starts a command as the agent does, s.starts times, and returns the median of the time until it has ended, in ms. That
// has the start itself in it, which a plugin's time has not.
func (s settings) ran(command ...string) (float64, error) {
	var all []float64
	for range s.starts {
		begin := time.Now()
		p, err := process.Start(process.Command{Args: command, Env: os.Environ(), OnParentDeath: syscall.SIGKILL})
		if err != nil {
			return 0, err
		}
		exit := p.Exit()
		if exit.Code != 0 {
			return 0, fmt.Errorf("%s: %v", strings.Join(command, " "), exit)
		}
		all = append(all, ms(exit.At.Sub(begin)))
	}
	p50, _ := spread(all)
	return p50, nil
}

func ms(d time.Duration) float64 { return d.Seconds() * 1e3 }

// spread returns the median and the largest.
func spread(all []float64) (p50, most float64) {
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2], all[len(all)-1]
}

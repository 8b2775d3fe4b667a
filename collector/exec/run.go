package exec

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pacewire/pacewire/internal/child"
)

// A run is what became of one command.
type run struct {
	child.Result
	command []string
	shell   bool
	err     error // it could not be started
}

// name is what the command is called in what is said of it: its program, or the begin of the line that a shell reads.
func (r run) name() string {
	const most = 40
	line := r.command[len(r.command)-1]
	switch {
	case !r.shell:
		return r.command[0]
	case len(line) <= most:
		return line
	}
	return strings.ToValidUTF8(line[:most], "") + "..."
}

// ended is when the run was over, in whole microseconds.
func (r run) ended() time.Time { return cmp.Or(r.Exit.At, time.Now()).Truncate(time.Microsecond) }

// failure returns why the run is a failed one, nil where it is none.
func (r run) failure(ctx context.Context) error {
	switch {
	case r.err != nil:
		return r.err // it names the program
	case r.Late:
		return fmt.Errorf("%s: ended: %w", r.name(), ctx.Err())
	case r.Exit.Code != 0 && r.LastLine != "":
		return fmt.Errorf("%s: %s: %s", r.name(), r.Exit, r.LastLine)
	case r.Exit.Code != 0:
		return fmt.Errorf("%s: %s", r.name(), r.Exit)
	}
	return nil
}

// Reason says why the exit code is not the program's own; "" where it is.
func (r run) Reason() string {
	if r.err != nil {
		return cmp.Or(child.ReasonOf(r.err), child.NotExecutable)
	}
	return r.Result.Reason()
}

// run runs each of the commands, so many side by side, and returns what became of them, in the order of their names.
func (e *executor) run(ctx context.Context) ([]run, error) {
	commands, err := e.cfg.commands()
	runs := make([]run, len(commands))
	var all errgroup.Group
	all.SetLimit(2 * runtime.NumCPU())
	for i, command := range commands {
		all.Go(func() error {
			runs[i] = e.one(ctx, command)
			return nil
		})
	}
	_ = all.Wait() // each run has its own error
	return runs, err
}

func (e *executor) one(ctx context.Context, command []string) run {
	spec := child.Spec{Command: command, Env: e.environ, User: e.cfg.User, Stderr: child.Log(e.log, slog.LevelInfo)}
	head, tail := e.cfg.kept()
	r, err := child.Run(ctx, spec, e.input(), head, tail)
	return run{Result: r, command: command, shell: e.cfg.Shell, err: err}
}

// input returns what a command reads: nothing, or an event as Sensu writes them.
func (e *executor) input() []byte {
	if !e.cfg.Stdin {
		return nil
	}
	named := func(name string) map[string]any { return map[string]any{"metadata": map[string]any{"name": name}} }
	text, err := json.Marshal(map[string]any{"timestamp": time.Now().Unix(), "entity": named(e.host), "check": named(e.name)})
	if err != nil {
		panic(err) // of texts and numbers alone
	}
	return text
}

// commands returns what is to be run now: what the pattern finds, or the command itself.
func (c Config) commands() ([][]string, error) {
	if c.Shell {
		return [][]string{child.Shell(c.Command[0])}, nil
	}
	if !c.pattern() {
		return [][]string{c.Command}, nil
	}
	programs, err := filepath.Glob(c.Command[0])
	if err != nil {
		return nil, fmt.Errorf("command %q: %w", c.Command[0], err)
	}
	if len(programs) == 0 {
		return nil, fmt.Errorf("command %q: no file is called so", c.Command[0])
	}
	var commands [][]string
	for _, program := range programs {
		commands = append(commands, append([]string{program}, c.Command[1:]...))
	}
	return commands, nil
}

// wild are the characters that make a pattern of a path.
const wild = "*?["

// pattern reports whether the program is one that stands for several.
func (c Config) pattern() bool {
	return !c.Shell && len(c.Command) > 0 && strings.ContainsAny(c.Command[0], wild)
}

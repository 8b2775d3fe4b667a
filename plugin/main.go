package plugin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/pacewire/pacewire/bus"
)

// The exit statuses of a plugin's process. An agent starts it again, except after 64 and 78.
const (
	exitDone     = 0
	exitFailed   = 1
	exitUsage    = 64
	exitNoBus    = 69
	exitTryAgain = 75 // --wait ran out
	exitConfig   = 78 // settings that cannot be used, or refused by the agent
)

// Main is the whole main function of a program that is one plugin. It does not return.
func Main(d Definition) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the first signal drains, the second ends the process at once
	os.Exit(Run(ctx, d, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Environ()))
}

// Run does what args ask of d, and returns the exit status. It drains when ctx ends. With a bus, in args or environ, it
// serves; without one it describes d, runs it once between the standard streams, or reports on it.
func Run(ctx context.Context, d Definition, args []string, stdin io.Reader, stdout, stderr io.Writer, environ []string) int {
	runtime.MemProfileRate = 0 // nobody asks a plugin for a profile, and its buckets are memory
	c := command{def: d, stdin: stdin, stdout: stdout, stderr: stderr, env: environment(environ)}
	if d.Command == "" {
		c.def.Command = d.Program
	}
	err := c.run(ctx, args)
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", d.Program, err)
	}
	return exitStatus(err)
}

// exitStatus returns the exit status that tells err.
func exitStatus(err error) int {
	usage, isUsage := errors.AsType[*usageError](err)
	switch {
	case err == nil:
		return exitDone
	case isUsage:
		return usage.status
	case errors.Is(err, ErrRefused):
		return exitConfig
	}
	return exitFailed
}

// A usageError is a fault of who started the process, and how the process ends with it.
type usageError struct {
	status int
	err    error
}

func (e *usageError) Error() string { return e.err.Error() }

func (e *usageError) Unwrap() error { return e.err }

func environment(environ []string) map[string]string {
	env := make(map[string]string, len(environ))
	for _, e := range environ {
		key, value, _ := strings.Cut(e, "=")
		env[key] = value
	}
	return env
}

// A command is one call of a plugin's program.
type command struct {
	def            Definition
	stdin          io.Reader
	stdout, stderr io.Writer
	env            map[string]string

	flags          *pflag.FlagSet
	describe, once bool
	verbose        bool
	config         string
	timeout        time.Duration
	o              Options
}

func (c *command) run(ctx context.Context, args []string) error {
	c.define()
	if err := c.flags.Parse(args); errors.Is(err, pflag.ErrHelp) {
		return c.help()
	} else if err != nil {
		return c.misused("%w", err)
	}
	if c.flags.NArg() > 0 {
		return c.misused("unexpected %q", c.flags.Arg(0))
	}
	c.o.Inst, c.o.Process = c.env["PACEWIRE_INST"], c.env["PACEWIRE_PROCESS"]
	c.o.TLS = bus.TLSFrom(func(name string) string { return c.env[name] })
	c.o.Log = newLog(c.stderr, c.env, c.verbose, c.o)
	switch {
	case c.describe && c.once:
		return c.misused("--describe and --once: give one of them")
	case c.describe:
		return c.printManifest()
	case c.once:
		return c.alone(ctx)
	case c.o.Bus != "":
		return c.serve(ctx)
	case c.flags.Changed("creds") || c.flags.Changed("wait"):
		return c.misused("--creds and --wait want a --bus")
	}
	return c.diagnose(ctx)
}

func (c *command) define() {
	f := pflag.NewFlagSet(c.def.Program, pflag.ContinueOnError)
	f.SetOutput(io.Discard) // Run tells errors, help the usage
	f.SortFlags = false
	f.BoolVar(&c.once, "once", false, "work once between the standard streams, without a bus")
	f.StringVar(&c.config, "config", "", "settings for --once and for diagnostics, a `JSON` object")
	f.DurationVar(&c.timeout, "timeout", 0, "how long a call of --once may take, 30s unless said")
	f.BoolVar(&c.describe, "describe", false, "print the manifest as JSON: kind, settings, catalog")
	f.StringVar(&c.o.Bus, "bus", c.env["PACEWIRE_BUS"], "serve on the bus at this `URL`")
	f.StringVar(&c.o.Creds, "creds", c.env["PACEWIRE_CREDS"], "`file` with the credentials for the bus")
	f.StringVar(&c.o.Host, "host", cmp.Or(c.env["PACEWIRE_HOST"], hostname()), "the `host` that points are about")
	f.StringVar(&c.o.Plugin, "name", cmp.Or(c.env["PACEWIRE_PLUGIN"], c.def.Program), "the plugin's `name` in the config")
	f.StringVar(&c.o.Dir, "dir", c.env["PACEWIRE_DIR"], "`folder` to keep state in")
	f.DurationVar(&c.o.Wait, "wait", 0, "how long to wait for the bus; without it for ever, 0s: not at all")
	f.BoolVarP(&c.verbose, "verbose", "v", false, "log what helps to develop a plugin")
	c.flags = f
}

// hostname returns the name of this machine without its domain.
func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	short, _, _ := strings.Cut(name, ".")
	return short
}

func (c *command) misused(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &usageError{exitUsage, fmt.Errorf("%w: see %s --help", err, c.def.Command)}
}

func (c *command) help() error {
	examples := map[Kind]string{
		Collector: "  %[1]s --once",
		Processor: "  echo 'cpu usage=93.5' | %[1]s --once",
		Publisher: "  echo 'cpu usage=93.5' | %[1]s --once",
	}
	_, err := fmt.Fprintf(c.stdout, `%[2]s

Usage: %[1]s [flags]

Without flags and without a bus it reports what it is and tries itself. An agent
starts it with PACEWIRE_BUS and the like in its environment. Signals INT and
TERM drain it.

Flags:
%[3]s
Exit status: 0 done, 1 failed, 64 usage, 69 no bus, 75 --wait ran out, 78 wrong
settings or refused by the agent.

Examples:
`+examples[c.def.Kind]+`
  %[1]s --bus nats://127.0.0.1:4222 --name %[4]s
`, c.def.Command, c.def.Summary, c.flags.FlagUsagesWrapped(80), c.def.Program)
	return err
}

func (c *command) printManifest() error {
	text, err := json.MarshalIndent(c.def.Manifest(), "", "  ")
	if err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	_, err = c.stdout.Write(append(text, '\n'))
	return err
}

// atOnce is how long a bus may take that is not to be waited for.
const atOnce = 2 * time.Second

// serve leads a plugin's life on the bus.
func (c *command) serve(ctx context.Context) error {
	if c.flags.Changed("config") {
		return c.misused("--config is for --once: on a bus the agent gives the settings")
	}
	if c.flags.Changed("timeout") {
		return c.misused("--timeout is for --once: on a bus the agent tells it")
	}
	noBus := exitTryAgain
	if c.flags.Changed("wait") && c.o.Wait <= 0 {
		c.o.Wait, noBus = atOnce, exitNoBus
	}
	c.o.Dir = cmp.Or(c.o.Dir, c.stateDir())
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	c.o.Survey = hup
	ctx, stop := c.whileAgentLives(ctx)
	defer stop()
	err := Serve(ctx, c.def, c.o)
	switch {
	case errors.Is(err, ErrNoBus):
		return &usageError{noBus, err}
	case errors.Is(err, errDial):
		return &usageError{exitConfig, err}
	}
	return err
}

// stateDir returns where state is kept when nobody says it.
func (c *command) stateDir() string {
	base := c.env["XDG_STATE_HOME"]
	if base == "" {
		base = filepath.Join(c.env["HOME"], ".local", "state")
	}
	return filepath.Join(base, "pacewire", "plugins", filepath.Base(c.o.Plugin))
}

// whileAgentLives returns a context that ends with the agent as well, whose end of the pipe on standard input closes when
// it is gone, however it went.
func (c *command) whileAgentLives(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := context.WithCancel(ctx)
	if c.env["PACEWIRE_PLUGIN"] == "" || !isPipe(c.stdin) {
		return ctx, stop
	}
	go func() { // ends with the pipe, or the process
		_, _ = io.Copy(io.Discard, c.stdin)
		if ctx.Err() == nil {
			c.o.Log.Warn("agent is gone")
		}
		stop()
	}()
	return ctx, stop
}

func isPipe(r io.Reader) bool {
	f, ok := r.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&(os.ModeNamedPipe|os.ModeSocket) != 0
}

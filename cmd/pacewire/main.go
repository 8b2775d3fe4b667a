// Command pacewire collects, processes and publishes telemetry on a NATS bus, each plugin a process of its own.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/bus"
)

// Exit codes, after sysexits.h.
const (
	exitFailed   = 1
	exitUsage    = 64
	exitNoBus    = 69
	exitTryAgain = 75
	exitConfig   = 78
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	a := &app{in: os.Stdin, out: os.Stdout, err: os.Stderr}
	code := a.run(ctx, stop, os.Args[1:])
	os.Exit(code)
}

// An app is the program, so that a test can run it.
type app struct {
	in       io.Reader
	out, err io.Writer
	flags    flags
	logLevel string // of the config; the flags go before it
	found    *finder
}

// flags are those of every verb.
type flags struct {
	config    string
	bus       string
	creds     string
	output    string
	logFormat string
	verbose   bool
	quiet     bool
	noColor   bool
}

// An exit is an error that ends the program with a code of its own.
type exit struct {
	code int
	err  error
}

func (e *exit) Error() string { return e.err.Error() }

func (e *exit) Unwrap() error { return e.err }

func exitWith(code int, err error) error {
	if err == nil {
		return nil
	}
	return &exit{code, err}
}

// run runs the program and returns its exit code.
func (a *app) run(ctx context.Context, calm context.CancelFunc, args []string) int {
	a.found = newFinder()
	defer a.found.close()
	context.AfterFunc(ctx, calm) // a second interrupt kills
	root := a.root()
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	err := helpOfNothing(root, args)
	if err == nil {
		err = root.ExecuteContext(ctx)
	}
	if err == nil {
		return 0
	}
	code := codeOf(err)
	if text := err.Error(); text != "" {
		fmt.Fprintln(a.err, "pacewire:", strings.TrimRight(text, "\n"))
	}
	return code
}

// codeOf returns the exit code that err stands for.
func codeOf(err error) int {
	if e, ok := errors.AsType[*exit](err); ok {
		return e.code
	}
	if _, ok := errors.AsType[config.Faults](err); ok {
		return exitConfig
	}
	for _, away := range []error{bus.ErrDisconnected, bus.ErrNoResponders, bus.ErrTimeout} {
		if errors.Is(err, away) {
			return exitNoBus
		}
	}
	return exitFailed
}

const about = `pacewire collects, processes and publishes telemetry on a NATS bus.
Every plugin (collector, processor, publisher) is a process of its own, with a heartbeat.`

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use: "pacewire", Short: "Telemetry on a NATS bus, every plugin a process of its own", Long: about,
		SilenceErrors: true, SilenceUsage: true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if a.flags.output != "table" && a.flags.output != "json" {
				return exitWith(exitUsage, fmt.Errorf("output %q: want -o table or -o json", a.flags.output))
			}
			return nil
		},
		Example: "  pacewire up                 # this machine, with the config found or the starter config\n" +
			"  pacewire init               # write a config to start from",
	}
	f := root.PersistentFlags()
	f.StringVarP(&a.flags.config, "config", "c", os.Getenv("PACEWIRE_CONFIG"), "config file, instead of "+usualPlaces())
	f.StringVar(&a.flags.bus, "bus", os.Getenv("PACEWIRE_BUS"), "URL of the bus; by default the local agent's")
	f.StringVar(&a.flags.creds, "creds", os.Getenv("PACEWIRE_CREDS"), "file with credentials for the bus")
	f.StringVarP(&a.flags.output, "output", "o", "table", "table or json")
	f.StringVar(&a.flags.logFormat, "log-format", os.Getenv("PACEWIRE_LOG_FORMAT"), "text or json; by default by what stderr is")
	f.BoolVarP(&a.flags.verbose, "verbose", "v", false, "log what developers want to know as well")
	f.BoolVarP(&a.flags.quiet, "quiet", "q", false, "log warnings and errors only")
	f.BoolVar(&a.flags.noColor, "no-color", os.Getenv("NO_COLOR") != "", "no colours")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return exitWith(exitUsage, fmt.Errorf("%w: %s", err, "see "+c.CommandPath()+" --help"))
	})
	suggest(root, "output", "table", "json")
	suggest(root, "log-format", "text", "json")
	root.AddCommand(a.up(), a.agent(), a.once(), a.validate(), a.plugin(), a.send(), a.tap(), a.host(), a.events(), a.dead(), a.replay(), a.status(), a.doctor(), a.reload(), a.init(), a.new(), a.schema(), a.version(), a.guard(), a.bus(), a.hub(), a.conform(), a.try())
	root.InitDefaultCompletionCmd() // now, so that it is strict too
	strict(root)
	return root
}

// strict makes every wrong use of a verb an error with the usage code, and suggests the verb that was meant.
func strict(c *cobra.Command) {
	if c.Args != nil {
		check := c.Args
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return exitWith(exitUsage, fmt.Errorf("%w: see %s --help", inWords(c, args, err), c.CommandPath()))
			}
			return nil
		}
	}
	if c.HasSubCommands() && c.RunE == nil {
		c.RunE = func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.Help()
			}
			return exitWith(exitUsage, unknownVerb(c, args[0]))
		}
		c.Args = cobra.ArbitraryArgs
	}
	for _, sub := range c.Commands() {
		strict(sub)
	}
}

// inWords says which word is missing from a command line, or is too much, instead of how many there should be.
func inWords(c *cobra.Command, args []string, err error) error {
	first, _, _ := strings.Cut(strings.TrimPrefix(c.Use, c.Name()+" "), " ")
	word := strings.ToLower(strings.Trim(first, "[]().<>"))
	if word == "name" {
		word = "plugin"
	}
	switch named := first != c.Use && first != "" && first == strings.ToUpper(first); {
	case len(args) == 0 && named:
		return fmt.Errorf("which %s? none is named", word)
	case len(args) > 1 && named:
		return fmt.Errorf("one %s at a time: %q is too much", word, args[1])
	case len(args) > 0 && !named:
		return fmt.Errorf("%q is too much", args[0])
	}
	return err
}

// helpOfNothing returns an error for --help of a verb that there is not, where the help of all would hide that.
func helpOfNothing(root *cobra.Command, args []string) error {
	root.InitDefaultHelpCmd() // a verb too
	c, rest, err := root.Find(args)
	if err != nil || !c.HasSubCommands() || len(rest) == 0 || strings.HasPrefix(rest[0], "-") || strings.HasPrefix(rest[0], "__") {
		return nil
	}
	if slices.Contains(rest, "--help") || slices.Contains(rest, "-h") {
		return exitWith(exitUsage, unknownVerb(c, rest[0]))
	}
	return nil
}

func unknownVerb(c *cobra.Command, word string) error {
	var names []string
	for _, sub := range c.Commands() {
		names = append(names, sub.Name())
	}
	hint := "see " + c.CommandPath() + " --help"
	if near := config.Suggest(word, names); near != "" {
		hint = "did you mean " + c.CommandPath() + " " + near + "?"
	}
	return fmt.Errorf("%s has no verb %q: %s", c.CommandPath(), word, hint)
}

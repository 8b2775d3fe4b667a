package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/agent/conform"
	"github.com/pacewire/pacewire/telemetry"
)

// conformFlags are those of the verb.
type conformFlags struct {
	kind, config, input string
	only, env           []string
	mutations           int
	seed                uint64
	list, alone         bool
}

func (a *app) conform() *cobra.Command {
	var f conformFlags
	c := &cobra.Command{
		Use: "conform [FLAG...] -- COMMAND...", Short: "Check a plugin, in any language, against all that it promises",
		Long: "conform starts a plugin as an agent does, several times side by side, each on a private bus in a temporary folder, and checks\n" +
			"what it does: hello, settings, heartbeats, data, trouble of the bus, the end. It takes about 12 s and leaves nothing behind.\n" +
			"It ends with 0 when no check failed, with 1 otherwise. What each check means: docs/conform.md.",
		Example: "  pacewire conform -- python3 my_plugin.py\n" +
			"  pacewire conform --config '{\"path\":\"/var/log\"}' -- ./plugin\n" +
			"  pacewire conform --only hello,beats,drain -- node plugin.mjs\n" +
			"  pacewire conform --mutations 1000 -o json -- ./plugin",
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if f.list {
				return a.listChecks()
			}
			return a.conforms(c, f, args)
		},
	}
	fs := c.Flags()
	fs.StringVar(&f.kind, "kind", "", "what it has to be: collector, processor or publisher")
	fs.StringVar(&f.config, "config", "", "settings with which it works, a `JSON` object; {dir} in it is a folder of each process's own")
	fs.StringSliceVar(&f.only, "only", nil, "the `checks` to make, separated by commas")
	fs.StringArrayVar(&f.env, "env", nil, "more environment: `NAME` passes ours on, NAME=VALUE sets it; may be repeated")
	fs.IntVar(&f.mutations, "mutations", 100, "how many broken messages are made of each good one")
	fs.Uint64Var(&f.seed, "seed", 1, "of the dice that break them")
	fs.StringVar(&f.input, "input", "", "`file` with points for a processor or publisher, JSON or line protocol")
	fs.BoolVar(&f.alone, "alone", false, "one process at a time, as they want the same port or the like; it takes longer")
	fs.BoolVar(&f.list, "list", false, "list the checks")
	suggest(c, "kind", config.Collector, config.Processor, config.Publisher)
	return c
}

// options turns the flags into those of a run.
func (f conformFlags) options(args []string) (conform.Options, error) {
	o := conform.Options{Command: args, Kind: f.kind, Config: json.RawMessage(f.config), Only: f.only, Mutations: f.mutations, Seed: f.seed, Alone: f.alone}
	if len(args) == 0 {
		return o, errors.New("which plugin? put its command behind --: pacewire conform -- python3 my_plugin.py")
	}
	for _, e := range f.env {
		name, _, set := strings.Cut(e, "=")
		if v, ok := os.LookupEnv(name); !set && ok {
			e, set = name+"="+v, true
		}
		if set {
			o.Env = append(o.Env, e)
		}
	}
	if f.input != "" {
		text, err := os.ReadFile(f.input)
		if err != nil {
			return o, fmt.Errorf("points: %w", err)
		}
		o.Input = text
	}
	return o, o.Validate()
}

// conforms runs the checks, and shows each as soon as it is known.
func (a *app) conforms(c *cobra.Command, f conformFlags, args []string) error {
	o, err := f.options(args)
	if err != nil {
		return exitWith(exitUsage, err)
	}
	show := a.flags.output != "json"
	t := &conformTable{out: a.out, coloured: !a.flags.noColor && isTerminal(a.out), shown: map[string]bool{}}
	done := func() {}
	if show {
		done = a.progress("conform: checking " + args[0])
		o.OnKind, o.OnResult = t.kind, t.result
	}
	report, err := conform.Run(c.Context(), o)
	done()
	if errors.Is(err, conform.ErrCommand) {
		return exitWith(exitUsage, err)
	}
	if err != nil {
		return err
	}
	if show {
		t.summary(report)
	} else if err := json.NewEncoder(a.out).Encode(report); err != nil {
		return err
	}
	if report.Failed > 0 {
		return exitWith(exitFailed, errors.New(""))
	}
	return nil
}

func (a *app) listChecks() error {
	if a.flags.output == "json" {
		return json.NewEncoder(a.out).Encode(conform.Checks())
	}
	for _, c := range conform.Checks() {
		fmt.Fprintf(a.out, "%-17s %s\n", c.Name, c.About)
		if len(c.Kinds) > 0 {
			fmt.Fprintf(a.out, "%-17s (%s)\n", "", strings.Join(c.Kinds, ", "))
		}
	}
	return nil
}

// conformTable writes a line for each result.
type conformTable struct {
	out      io.Writer
	coloured bool
	shown    map[string]bool // checks
}

func (t *conformTable) kind(m telemetry.Manifest) {
	fmt.Fprintf(t.out, "%s %s %s\n\n", m.Kind, m.Program, m.Version)
}

// result writes one line, and those that say why below it.
func (t *conformTable) result(r conform.Result) {
	t.shown[r.Check] = true
	word := string(r.Status)
	if t.coloured {
		word = map[conform.Status]string{conform.Pass: "\x1b[32m", conform.Fail: "\x1b[31m", conform.Skip: "\x1b[33m"}[r.Status] + word + noColour
		_, _ = io.WriteString(t.out, "\r"+clearLine)
	}
	fmt.Fprintf(t.out, "%s  %-17s %5.1f s", word, r.Check, r.Seconds)
	if r.Status != conform.Fail && r.Reason != "" {
		fmt.Fprintf(t.out, "  %s", r.Reason)
	}
	fmt.Fprintln(t.out)
	if r.Status != conform.Fail {
		return
	}
	fmt.Fprintf(t.out, "      promise  %s\n      broken   %s\n", r.About, r.Reason)
	if r.Message != "" {
		fmt.Fprintf(t.out, "      message  %s\n", r.Message)
	}
}

// summary ends the table.
func (t *conformTable) summary(r conform.Report) {
	w := t.out
	if left := slices.DeleteFunc(slices.Clone(r.Results), func(one conform.Result) bool { return t.shown[one.Check] }); len(left) > 0 {
		fmt.Fprintf(w, "SKIP  %d more, as %s\n", len(left), left[0].Reason)
	}
	if r.Failed > 0 && len(r.Stderr) > 0 {
		fmt.Fprintf(w, "\nIt has printed:\n  %s\n", strings.Join(r.Stderr, "\n  "))
	}
	fmt.Fprintf(w, "\n%d passed, %d failed, %d skipped in %.1f s\n", r.Passed, r.Failed, r.Skipped, r.Seconds)
	if r.Failed > 0 {
		fmt.Fprintln(w, "What each check means, and how a failure is mended: docs/conform.md")
	}
}

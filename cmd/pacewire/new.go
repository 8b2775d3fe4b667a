package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/internal/scaffold"
	"github.com/pacewire/pacewire/sdk"
)

func (a *app) new() *cobra.Command {
	c := &cobra.Command{Use: "new", Short: "Begin a plugin of your own"}
	c.AddCommand(a.newPlugin())
	return c
}

// A beginning is a plugin as the command line asks for it.
type beginning struct {
	lang, kind    string
	dir, checkout string
	force, bare   bool
}

func (a *app) newPlugin() *cobra.Command {
	var b beginning
	c := &cobra.Command{
		Use: "plugin NAME", Short: "Write a plugin to start from, in Go, Python, JavaScript or shell", Args: cobra.ExactArgs(1),
		Long: "new plugin writes the folder NAME: a plugin that works, a config that runs it, a test that checks it, and a README.\n" +
			"It runs nothing and needs no network.",
		Example: "  pacewire new plugin --lang python --kind collector fan\n" +
			"  pacewire new plugin --lang go --kind processor --dir plugins smooth",
		RunE: func(_ *cobra.Command, args []string) error {
			p, err := b.plugin(args[0])
			if err != nil {
				return exitWith(exitUsage, err)
			}
			if err := p.Write(); errors.Is(err, scaffold.ErrExists) {
				return fmt.Errorf("%s: %w: --force writes over the files that a new plugin has, another NAME or --dir leaves it", p.Dir, err)
			} else if err != nil {
				return fmt.Errorf("write plugin %s: %w", p.Name, err)
			}
			return a.showBeginning(p)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f := c.Flags()
	f.StringVar(&b.lang, "lang", "", "language: "+either(languageNames()))
	f.StringVar(&b.kind, "kind", "", "kind of plugin: "+either(kindNames()))
	f.StringVar(&b.dir, "dir", ".", "folder in which the folder NAME is made")
	f.BoolVar(&b.force, "force", false, "write into a folder that has something in it")
	f.BoolVar(&b.bare, "no-library", false, "python, node: the library is installed, do not put it beside the plugin")
	f.StringVar(&b.checkout, "pacewire", "", "go: checkout of pacewire to build with; by default the release, or the checkout, that this program is of")
	suggest(c, "lang", languageNames()...)
	suggest(c, "kind", kindNames()...)
	_ = c.MarkFlagDirname("dir")
	_ = c.MarkFlagDirname("pacewire")
	return c
}

// plugin says what is to be written, or what is wrong with the command line.
func (b *beginning) plugin(name string) (*scaffold.Plugin, error) {
	p := &scaffold.Plugin{Name: name, Force: b.force}
	lang, kind := strings.ToLower(b.lang), strings.ToLower(b.kind)
	for _, l := range scaffold.Languages() {
		if l.Name == lang {
			p.Language = l
		}
	}
	for _, k := range scaffold.Kinds() {
		if k.Name == kind {
			p.Kind = k
		}
	}
	switch {
	case p.Language == nil:
		return nil, notOne("lang", lang, languageNames())
	case p.Kind == nil:
		return nil, notOne("kind", kind, kindNames())
	}
	err := scaffold.CheckName(name, p.Language, shortNames(programNames()))
	if err != nil {
		return nil, err
	}
	if p.Dir, err = filepath.Abs(filepath.Join(b.dir, name)); err != nil {
		return nil, err
	}
	if !b.bare {
		p.Library = libraryOf(p.Language)
	}
	if p.Pacewire, err = os.Executable(); err != nil {
		return nil, fmt.Errorf("find the program itself: %w", err)
	}
	p.Module, err = b.module(p.Pacewire)
	return p, err
}

// module returns the pacewire that a plugin in Go is built with.
func (b *beginning) module(binary string) (scaffold.Module, error) {
	if b.checkout == "" {
		work, err := os.Getwd()
		return scaffold.ModuleOf(version(), binary, work), err
	}
	dir, err := filepath.Abs(b.checkout)
	if err == nil && !scaffold.IsCheckout(dir) {
		err = fmt.Errorf("--pacewire %s: no checkout of pacewire: it has no go.mod of %s", b.checkout, scaffold.ModulePath)
	}
	return scaffold.Module{Checkout: dir}, err
}

// notOne says that a word is none of the names a flag takes, and which was meant.
func notOne(flag, word string, names []string) error {
	if word == "" {
		return fmt.Errorf("which --%s? one of %s", flag, either(names))
	}
	meant := scaffold.Meant(word)
	if meant == "" {
		meant = config.Suggest(word, names)
	}
	if meant == "" {
		return fmt.Errorf("--%s %q: want %s", flag, word, either(names))
	}
	return fmt.Errorf("--%s %q: did you mean %s? want %s", flag, word, meant, either(names))
}

// showBeginning prints how to go on.
func (a *app) showBeginning(p *scaffold.Plugin) error {
	var text strings.Builder
	fmt.Fprintf(&text, "%s written: a %s in %s\n\n  cd %s\n", p.Name, p.Kind.Name, p.Language.Title, inShell(near(p.Dir)))
	for line := range strings.Lines(p.StepsText() + "\n") {
		text.WriteString("  " + line)
	}
	for _, what := range p.Missing(exec.LookPath) {
		fmt.Fprintf(&text, "\nfirst: %s\n", what)
	}
	_, err := a.out.Write([]byte(text.String()))
	return err
}

// near returns the path of dir from here where that is shorter.
func near(dir string) string {
	here, err := os.Getwd()
	if err != nil {
		return dir
	}
	if rel, err := filepath.Rel(here, dir); err == nil && len(rel) < len(dir) {
		return rel
	}
	return dir
}

func either(names []string) string {
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

func languageNames() (names []string) {
	for _, l := range scaffold.Languages() {
		names = append(names, l.Name)
	}
	return names
}

func kindNames() (names []string) {
	for _, k := range scaffold.Kinds() {
		names = append(names, k.Name)
	}
	return names
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9/._-]+$`)

// inShell quotes a path where a shell would cut it.
func inShell(path string) string {
	if plainWord.MatchString(path) {
		return path
	}
	return quoted(path)
}

// libraryOf returns the files of the library of a language, nil where it needs none.
func libraryOf(l *scaffold.Language) fs.FS {
	switch l.Name {
	case "python":
		return sdk.Python()
	case "node":
		return sdk.Node()
	}
	return nil
}

package main

import (
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pacewire/pacewire/agent/config"
)

// starterConfig is what init writes, and what up runs where there is no config yet.
//
//go:embed starter.yaml
var starterConfig string

func (a *app) init() *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use: "init [FILE]", Short: "Write a config to start from", Args: cobra.MaximumNArgs(1),
		Long: "init writes a config with comments to FILE, or to the first of the usual places:\n" + usualPlaces() +
			"\nThere every verb finds it; in another place it is named by -c.",
		Example: "  pacewire init\n  pacewire init my.yaml",
		RunE: func(_ *cobra.Command, args []string) error {
			path, _ := config.Places(os.Geteuid() == 0, os.LookupEnv)
			then := "pacewire up; pacewire init FILE writes one elsewhere"
			if named := cmp.Or(strings.Join(args, ""), a.flags.config); named != "" {
				path, then = named, "pacewire up -c "+named
			}
			if err := writeNew(path, starterConfig, force); err != nil {
				return err
			}
			_, err := fmt.Fprintf(a.out, "%s written: look through it, then %s\n", path, then)
			return err
		},
	}
	c.Flags().BoolVar(&force, "force", false, "replace a file that is there")
	return c
}

func writeNew(path, text string, force bool) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	how := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if force {
		how = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(path, how, 0o640)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already: --force replaces it, another name leaves it", path)
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

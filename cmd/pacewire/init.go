package main

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

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
		Example: "  pacewire init\n  pacewire init my.yaml",
		RunE: func(_ *cobra.Command, args []string) error {
			path, _ := config.Places(os.Geteuid() == 0, os.LookupEnv)
			if a.flags.config != "" {
				path = a.flags.config
			}
			if len(args) == 1 {
				path = args[0]
			}
			if err := writeNew(path, starterConfig, force); err != nil {
				return err
			}
			_, err := fmt.Fprintf(a.out, "%s written: look through it, then pacewire up -c %s\n", path, path)
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

package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/agent/host"
)

// A configured is a config as a verb has found it, and the way to read it again.
type configured struct {
	app     *app
	options config.Options
	named   []string // files that the verb or -c name; none: the usual places
	starter bool     // without a file the starter config is good enough
	withBus string   // without a file this text is, where --bus names the bus

	*config.Settings
	from   string          // where it stands, for people
	files  []config.Source // what Settings are made of
	pieces []config.Piece  // and what was loaded into a running agent
}

// configure reads the config. With pieces, those that were loaded into an agent here count too.
func (a *app) configure(c configured, pieces bool) (*configured, error) {
	c.app, c.options.Programs = a, forConfig()
	c.options.PluginDirs = config.PluginDirs(os.Geteuid() == 0, os.LookupEnv)
	c.options.Discover, c.options.BusURL = a.discovered, a.flags.bus
	var err error
	if c.files, c.from, err = c.read(); err != nil {
		return nil, err
	}
	if pieces {
		return &c, c.joinPieces()
	}
	c.Settings, err = c.join(c.files)
	return &c, err
}

// read reads the files, and returns too where they stand, for people. It may be called by several at a time.
func (c *configured) read() (files []config.Source, from string, err error) {
	names, err := c.app.configFiles(c.named)
	if err != nil {
		return nil, "", err
	}
	if len(names) > 0 {
		return config.Files(names...), strings.Join(names, ", "), nil
	}
	if c.starter {
		return []config.Source{{Name: starterName, Text: []byte(starterConfig)}}, "the starter config (pacewire init writes it to a file)", nil
	}
	if c.withBus != "" && c.app.flags.bus != "" {
		return []config.Source{{Name: "config of --bus", Text: []byte(c.withBus)}}, "what --bus needs", nil
	}
	main, _ := config.Places(os.Geteuid() == 0, os.LookupEnv)
	return nil, "", exitWith(exitConfig, fmt.Errorf(
		"no config: there is no %s, and none was named by -c or PACEWIRE_CONFIG: pacewire init writes one", main))
}

// starterName is what the starter config goes by in messages.
const starterName = "starter config"

// overlooked warns of a config in this folder where the starter config runs in its place.
func (c *configured) overlooked(log *slog.Logger) {
	const file = "pacewire.yaml"
	if _, err := os.Stat(file); err == nil && c.files[0].Name == starterName {
		log.Warn("the starter config runs, not "+file+" of this folder", "hint", "pacewire up -c "+file)
	}
}

// join checks sources together, and puts the flags over them.
func (c *configured) join(sources []config.Source) (*config.Settings, error) {
	s, err := config.Join(c.options, sources...)
	if err == nil {
		err = checkSettings(s)
	}
	if err != nil {
		return nil, err
	}
	c.app.override(s)
	return s, nil
}

// forHost returns how a host part reads its config again, when somebody has changed it: the clock is set by then.
func (c *configured) forHost() host.Config {
	again := *c
	again.options.ClockUnset = false
	read := func() ([]config.Source, error) {
		files, _, err := again.read()
		return files, err
	}
	return host.Config{Read: read, Join: again.join, Loaded: loadedDir()}
}

// loadedDir is where pieces are kept that were loaded into a running agent.
func loadedDir() string {
	dir, err := stateDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "loaded")
}

// configFiles returns the files of the config: what -c names, else the usual ones that exist.
func (a *app) configFiles(named []string) ([]string, error) {
	if a.flags.config != "" {
		named = append([]string{a.flags.config}, named...)
	}
	if len(named) > 0 {
		return named, nil
	}
	main, confd := config.Places(os.Geteuid() == 0, os.LookupEnv)
	if _, err := os.Stat(main); err != nil {
		return nil, nil
	}
	if _, err := os.Stat(confd); err != nil {
		return []string{main}, nil
	}
	return []string{main, confd}, nil
}

// usualPlaces says where a config is looked for.
func usualPlaces() string {
	main, confd := config.Places(os.Geteuid() == 0, os.LookupEnv)
	return main + " and " + filepath.Join(confd, "*.yaml")
}

// load reads the config for a verb that reads it once.
func (a *app) load(named []string, offline, starter bool) (*config.Settings, string, error) {
	c, err := a.configure(configured{options: config.Options{Offline: offline}, named: named, starter: starter}, false)
	if err != nil {
		return nil, "", err
	}
	return c.Settings, c.from, nil
}

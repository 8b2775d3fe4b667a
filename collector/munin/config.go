package munin

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	decode "github.com/pacewire/pacewire/internal/decode/munin"
	"github.com/pacewire/pacewire/plugin"
)

// Config is what an operator may set.
type Config struct {
	Plugins  plugin.Strings  `json:"plugins" jsonschema:"plugins, or folders of them (links too), or patterns such as /etc/munin/plugins/if_*; looked up at each interval"`
	Exclude  plugin.Strings  `json:"exclude" jsonschema:"names of plugins to leave out, or patterns of names"`
	Conf     string          `json:"conf" jsonschema:"the folder with the configs of the plugins, as of munin-node; it need not exist"`
	LibDir   string          `json:"lib_dir" jsonschema:"what plugins have as MUNIN_LIBDIR: there they look for plugins/plugin.sh"`
	StateDir string          `json:"state_dir" jsonschema:"where plugins keep their state, below it one folder for each user; empty: in the folder of this plugin, which is for its own user alone"`
	User     string          `json:"user" jsonschema:"who a plugin runs as whose config does not say it, by name or id; another one than that of the collector takes root"`
	Limit    plugin.Duration `json:"plugin_timeout" jsonschema:"how long each of a plugin's two runs may take, where its config does not say it"`
	AtOnce   int             `json:"at_once" jsonschema:"how many plugins run at the same time; 0: twice as many as there are CPUs"`
	Rates    bool            `json:"rates" jsonschema:"counters become what they grow by in a second, as in Munin's graphs; otherwise they stay as they are"`
}

func defaults() Config {
	return Config{
		Plugins: plugin.Strings{"/etc/munin/plugins"}, Exclude: plugin.Strings{},
		Conf: "/etc/munin/plugin-conf.d", LibDir: decode.LibDir, Limit: plugin.Duration(10 * time.Second),
	}
}

// Validate reports what is wrong with c.
func (c Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if len(c.Plugins) == 0 {
		fault("plugins is empty: name a plugin or a folder of them, such as /etc/munin/plugins")
	}
	for _, path := range c.Plugins {
		if _, err := filepath.Match(path, ""); err != nil || !filepath.IsAbs(path) {
			fault("plugins %q: want an absolute path or a pattern, such as /etc/munin/plugins/if_*", path)
		}
	}
	for _, pattern := range c.Exclude {
		if _, err := filepath.Match(pattern, ""); err != nil {
			fault("exclude %q: want a name or a pattern, such as if_*", pattern)
		}
	}
	for key, path := range map[string]string{"conf": c.Conf, "state_dir": c.StateDir} {
		if path != "" && !filepath.IsAbs(path) {
			fault("%s %q: want an absolute path", key, path)
		}
	}
	if c.Limit <= 0 {
		fault("plugin_timeout %v: want more than 0s, such as 10s", c.Limit)
	}
	if c.AtOnce < 0 {
		fault("at_once %d: want 0 or more", c.AtOnce)
	}
	return errors.Join(faults...)
}

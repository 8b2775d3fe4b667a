package main

import "path/filepath"

// whole returns the names of the config's files and folders, for somebody in another folder.
func (c *configured) whole() []string {
	names, err := c.app.configFiles(c.named)
	if err != nil {
		return nil
	}
	var whole []string
	for _, name := range names {
		if path, err := filepath.Abs(name); err == nil {
			whole = append(whole, path)
		}
	}
	return whole
}

// filesOfAgent returns the config that the agent on this machine runs, so that programs are looked for where it finds them; nil
// where none runs, or -c names another config.
func (a *app) filesOfAgent() []string {
	n, err := readNote()
	if err != nil || n.gone() || a.flags.config != "" {
		return nil
	}
	return n.Config
}

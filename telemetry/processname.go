package telemetry

import (
	"strconv"
	"strings"
)

// ProcessName returns what the n-th process of a plugin is called, from 1: the first is called as the plugin, the second hot.2. A
// plugin has no dot in its name, so no two processes have the same.
func ProcessName(plugin string, n int) string {
	if n <= 1 {
		return plugin
	}
	return plugin + "." + strconv.Itoa(n)
}

// PluginOf returns which process of which plugin is called name; 0 stands for a name without a number, be it of the first process
// or of them all. What ProcessName does not make is the name of a plugin.
func PluginOf(name string) (plugin string, n int) {
	plugin, number, ok := strings.Cut(name, ".")
	n, err := strconv.Atoi(number)
	if !ok || err != nil || n < 1 || strconv.Itoa(n) != number {
		return name, 0
	}
	return plugin, n
}

// Package plugin leads the life of a plugin: hello, configuration, heartbeat, work, refresh, drain and goodbye.
//
// An author describes a program with the Define of its kind (package collector, processor or publisher) and never meets the
// bus. A program of one's own is func main() { plugin.Main(mine.Define()) }.
package plugin

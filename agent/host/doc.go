// Package host looks after the plugins of one machine: it starts them, tells them what to do, watches and stops them.
package host

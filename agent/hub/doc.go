// Package hub looks after the fleet: who is alive, what it consists of, and what happens to it.
package hub

// Package fleet simulates hosts that beat.
package fleet

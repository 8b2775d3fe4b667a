// Package identity gives a machine the id that outlives its name.
package identity

// Package deps holds the architecture as a test: who may import whom, and what a binary may weigh.
package deps

// Package scaffold makes new projects from a project.
package scaffold

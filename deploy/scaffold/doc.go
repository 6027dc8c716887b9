// Package scaffold makes a new project from an existing one. Package route adds functions to a project.
package scaffold

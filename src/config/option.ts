/**
 * How a target or a solver describes what it wants to know, as plain data: the command line, the configuration file and
 * its schema for editors are made from it. The names are those of the flags.
 */
export type Options = Readonly<Record<string, Option>>

export type Option = TextOption | NumberOption | SwitchOption

export interface TextOption {
  readonly kind: 'text'
  readonly describe: string
  readonly required?: true
  /** A file or folder; in the configuration file, relative to that file's own folder. */
  readonly isPath?: true
  /** The words of a command, which may go over several lines. */
  readonly isCommand?: true
  /** The only values that are taken. */
  readonly choices?: readonly string[]
  /** The kind of target whose default counts where this one has none: several kinds are about one bucket. */
  readonly defaultOf?: string
}

/** A whole number; among settings it is a text. */
export interface NumberOption {
  readonly kind: 'number'
  readonly describe: string
  readonly min: number
  readonly max: number
  /** As of a text. */
  readonly defaultOf?: string
}

export interface SwitchOption {
  readonly kind: 'switch'
  readonly describe: string
  /** As of a text. */
  readonly defaultOf?: string
}

export const text = (describe: string, about: Omit<TextOption, 'kind' | 'describe'> = {}): TextOption => ({
  kind: 'text',
  describe,
  ...about,
})

export const wholeNumber = (describe: string, about: Omit<NumberOption, 'kind' | 'describe'>): NumberOption => ({
  kind: 'number',
  describe,
  ...about,
})

export const toggle = (describe: string, about: Omit<SwitchOption, 'kind' | 'describe'> = {}): SwitchOption => ({
  kind: 'switch',
  describe,
  ...about,
})

/** What was given for such options: only those that were. */
export type Settings = Readonly<Record<string, string | boolean>>

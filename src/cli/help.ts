import type { Command } from './command.js'
import type { Flag, Flags } from './flag.js'

const columns = 100

/** What `acme-oss COMMAND --help` prints. */
export const commandHelp = (command: Command<Flags>): string => {
  const rows = Object.entries({ ...command.flags, ...command.late }).map(
    ([name, flag]) => [spelling(name, flag), `${flag.describe}${flag.isTyped ? ' (no variable)' : ''}`] as const,
  )
  const width = Math.max(...rows.map(([left]) => left.length)) + 2
  return [
    `acme-oss ${[command.name, command.words?.usage].filter(Boolean).join(' ')} [options]`,
    '',
    ...wrap(command.summary, columns),
    '',
    'Options (each can be given as a variable, too: --state-dir as ACME_OSS_STATE_DIR):',
    ...rows.flatMap(([left, right]) => {
      const [first = '', ...more] = wrap(right, columns - width)
      return [`${left.padEnd(width)}${first}`, ...more.map((line) => `${' '.repeat(width)}${line}`)]
    }),
    '',
    'Examples:',
    ...command.examples.flatMap(([line, does]) => [`  # ${does}`, `  ${line}`, '']),
  ].join('\n')
}

const spelling = (name: string, { alias, placeholder, kind }: Flag<unknown>): string =>
  `  ${alias === undefined ? '    ' : `-${alias}, `}--${name}${kind === 'switch' ? '' : ` ${placeholder ?? 'VALUE'}`}`

const wrap = (text: string, width: number): string[] => {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line]
}

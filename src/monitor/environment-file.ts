type State = 'none' | 'before' | 'plain' | 'single' | 'double' | 'escape' | 'double-escape'

/**
 * The variables in a file, as systemd reads them (`EnvironmentFile=`), and `hooks/with-environment`: quotes and
 * backslashes, `#` and `;` before comments; nothing is expanded. The last line of a name counts.
 */
export const parseEnvironmentFile = (text: string): Readonly<Record<string, string>> => {
  const found: Record<string, string> = {}
  let state: State = 'none'
  let [key, value, blanks] = ['', '', '']
  const end = (): void => {
    if (/^[A-Za-z_]\w*$/.test(key)) found[key] = value
    state = 'none'
  }
  const take = (character: string): void => {
    value += blanks + character
    blanks = ''
  }
  for (const line of text.replace(/\n$/, '').split('\n')) {
    let rest = line
    if (state === 'none') {
      const [, name, behind] = /^\s*([^#;\s=][^=]*?)\s*=(.*)$/.exec(line) ?? []
      if (name === undefined || behind === undefined) continue
      ;[key, value, blanks, state, rest] = [name, '', '', 'before', behind]
    }
    for (const character of rest) state = step(state, character, take, (blank) => (blanks += blank))
    // A backslash at the end of a line joins it with the next, which quotes do by themselves.
    if (state === 'escape') state = 'plain'
    else if (state === 'double-escape') state = 'double'
    else if (state === 'single' || state === 'double') take('\n')
    else end()
  }
  if (state !== 'none') end()
  return found
}

const step = (
  state: State,
  character: string,
  take: (character: string) => void,
  wait: (blank: string) => void,
): State => {
  switch (state) {
    case 'single':
    case 'double':
      if (character === (state === 'single' ? "'" : '"')) return 'before'
      if (state === 'double' && character === '\\') return 'double-escape'
      take(character)
      return state
    case 'double-escape':
      take(/["\\`$]/.test(character) ? character : `\\${character}`)
      return 'double'
    case 'escape':
      take(character)
      return 'plain'
    default:
      if (character === '\\') return 'escape'
      if (state === 'before' && character === "'") return 'single'
      if (state === 'before' && character === '"') return 'double'
      if (!/\s/.test(character)) {
        take(character)
        return 'plain'
      }
      if (state === 'plain') wait(character)
      return state
  }
}

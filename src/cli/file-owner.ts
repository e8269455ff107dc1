import { readFile } from 'node:fs/promises'
import type { FileOwner } from '../durable-file.js'
import { CertError } from '../errors.js'
import { runProgram } from '../program.js'
import { type Flag, text } from './flag.js'

const octal = text('access rights of the files, octal; folders can be entered by the same users [0600]', {
  placeholder: 'MODE',
})

/** The rights of files of which one is a private key. */
export const modeFlag: Flag<number> = {
  ...octal,
  read: (given, name) => {
    const value = octal.read(given, name) ?? '0600'
    const mode = /^0?[0-7]{3}$/.test(value) ? Number.parseInt(value, 8) : undefined
    if (mode !== undefined && (mode & 0o7) !== 0) {
      throw new CertError('USAGE', `--${name} ${value} would let everybody of this machine read the private key`, {
        hint: 'let a group read it: --group GROUP --mode 0640',
      })
    }
    if (mode === undefined || (mode & 0o111) !== 0 || (mode & 0o400) === 0) {
      throw new CertError('USAGE', `--${name} takes the rights of a file that its owner can read, not "${value}"`, {
        hint: 'such as --mode 0600, or --mode 0640 together with --group',
      })
    }
    return mode
  },
}

/** Node looks no names up: the files do, and what the system is asked by where a name is in neither. */
const databases = {
  passwd: { file: '/etc/passwd', what: 'user', flag: '--owner' },
  group: { file: '/etc/group', what: 'group', flag: '--group' },
} as const

/**
 * @param owner `USER` or `USER:GROUP`, by name or number
 * @returns undefined where neither is given
 * @throws CertError USAGE
 */
export const fileOwner = async (
  owner: string | undefined,
  group: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
  signal: AbortSignal,
): Promise<FileOwner | undefined> => {
  const [, user = '', ofOwner] = /^([^:]*)(?::(.*))?$/.exec(owner ?? '') ?? []
  if (owner !== undefined && (user === '' || ofOwner === '')) {
    throw new CertError('USAGE', `--owner takes a user, and perhaps a group behind a colon, not "${owner}"`, {
      hint: 'such as --owner haproxy, --owner haproxy:ssl; for a group alone, --group ssl',
    })
  }
  if (ofOwner !== undefined && group !== undefined) {
    throw new CertError('USAGE', '--owner and --group name a group each', { hint: 'leave one of them out' })
  }
  const givenGroup = ofOwner ?? group
  if (owner === undefined && givenGroup === undefined) return undefined
  const id = (database: keyof typeof databases, name: string | undefined) =>
    name === undefined ? -1 : idOf(database, name, environment, signal)
  return { uid: await id('passwd', owner === undefined ? undefined : user), gid: await id('group', givenGroup) }
}

const idOf = async (
  database: keyof typeof databases,
  name: string,
  environment: Readonly<Record<string, string | undefined>>,
  signal: AbortSignal,
): Promise<number> => {
  if (/^\d{1,9}$/.test(name)) return Number(name)
  const { file, what, flag } = databases[database]
  const find = (lines: string): number | undefined => {
    const fields = lines.split('\n').map((line) => line.split(':'))
    const id = fields.find(([first]) => first === name)?.[2]
    return id !== undefined && /^\d+$/.test(id) ? Number(id) : undefined
  }
  const known =
    find(await readFile(file, 'utf8').catch(() => '')) ??
    // Users of a directory service.
    (/^[\w.][\w.@\\-]*$/.test(name)
      ? find(await runProgram(['getent', database, name], { environment, timeout: 10_000, signal }).catch(() => ''))
      : undefined)
  if (known !== undefined) return known
  throw new CertError('USAGE', `there is no ${what} "${name}" on this machine`, {
    hint: `look at ${file}, or give ${flag} a number`,
  })
}

import { CertError } from '../errors.js'
import { sha256 } from './layout.js'

/** The files that a manifest tells the sums of. */
export const pemFiles = ['cert.pem', 'privkey.pem', 'chain.pem', 'fullchain.pem'] as const
export type PemFile = (typeof pemFiles)[number]

/** What the head of a README.md says of the certificate beside it. Only read, not yet proven. */
export interface Manifest {
  /** The folder of the archive: a plain name that leads nowhere else. */
  readonly archive: string
  readonly names: readonly string[]
  readonly notBefore: Date
  readonly notAfter: Date
  /** SHA-256, hexadecimal, lower case. */
  readonly sums: Readonly<Record<PemFile, string>>
  /** All of README.md, as it was read. */
  readonly text: string
  /** SHA-256 of that text. */
  readonly digest: string
}

/** What an archive's folder is called, and nothing else is. */
export const isArchiveName = (name: string): boolean => /^\d{4}-\d\d-\d\d_[0-9a-f]{8}$/.test(name)

/**
 * Reads exactly what `manifest` writes: no YAML beyond that, so that two readers never see two things in it. Keys that
 * a later version may add are passed over.
 * @param where how an error names it, such as `oss://my-ssl-certs/latest/README.md`
 * @throws CertError LAYOUT_INVALID
 */
export const readManifest = (text: string, where: string): Manifest => {
  const refuse = (why: string): CertError =>
    new CertError('LAYOUT_INVALID', `${where} ${why}`, {
      hint: 'look at what wrote it: nothing but acme-oss may write there; deploying again puts it right',
    })
  const keys = readHead(text, refuse)
  const lines = (key: string): readonly string[] => {
    const found = keys.get(key)
    if (found === undefined) throw refuse(`has no "${key}"`)
    return found
  }
  const value = (key: string): string => {
    const [first = '', ...more] = lines(key)
    if (first.startsWith(' ') || more.length > 0) throw refuse(`has more than one value for "${key}"`)
    return first
  }
  const archive = value('archive')
  if (!isArchiveName(archive)) {
    throw refuse(`names the archive ${JSON.stringify(archive.slice(0, 100))}, which is not the name of an archive`)
  }
  const date = (key: string): Date => {
    const iso = /^"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)"$/.exec(value(key))?.[1] ?? ''
    const found = new Date(iso)
    if (Number.isNaN(found.getTime())) throw refuse(`has no date in "${key}"`)
    return found
  }
  return {
    archive,
    names: readNames(lines('names'), refuse),
    notBefore: date('notBefore'),
    notAfter: date('notAfter'),
    sums: readSums(lines('sha256'), refuse),
    text,
    digest: sha256(text),
  }
}

type Refuse = (why: string) => CertError

/** The lines of each key: what stands behind its colon, or those below it with their blanks. */
const readHead = (text: string, refuse: Refuse): Map<string, string[]> => {
  const [, block] = /^---\n([\s\S]*?)\n---\n/.exec(text) ?? []
  if (block === undefined) throw refuse('does not open with what acme-oss writes there')
  const keys = new Map<string, string[]>()
  let open: string[] | undefined
  for (const line of block.split('\n')) {
    const [, key, value] = /^([A-Za-z0-9]+):(?: (\S.*))?$/.exec(line) ?? []
    if (key !== undefined) {
      if (keys.has(key)) throw refuse(`has "${key}" twice`)
      open = value === undefined ? [] : [value]
      keys.set(key, open)
    } else if (/^ {2}\S/.test(line) && open !== undefined) open.push(line)
    else throw refuse('has a line at its head that acme-oss does not write')
  }
  return keys
}

const readNames = (lines: readonly string[], refuse: Refuse): string[] => {
  if (lines.length === 1 && lines[0] === '  []') return []
  const names = lines.map((line) => /^ {2}- "([^"\\]+)"$/.exec(line)?.[1])
  if (names.length === 0 || !names.every((name) => name !== undefined)) throw refuse('has names that cannot be read')
  return names
}

const readSums = (lines: readonly string[], refuse: Refuse): Readonly<Record<PemFile, string>> => {
  const pairs = lines.map((line) => /^ {2}([a-z.]+): "([0-9a-f]{64})"$/.exec(line))
  const sums = new Map(pairs.map((pair) => [pair?.[1] ?? '', pair?.[2] ?? '']))
  if (sums.size !== lines.length || sums.has('')) throw refuse('has sums that cannot be read')
  const sum = (file: PemFile): string => {
    const found = sums.get(file)
    if (found === undefined) throw refuse(`has no sum of ${file}`)
    return found
  }
  return {
    'cert.pem': sum('cert.pem'),
    'privkey.pem': sum('privkey.pem'),
    'chain.pem': sum('chain.pem'),
    'fullchain.pem': sum('fullchain.pem'),
  }
}

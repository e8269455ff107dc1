import { open } from 'node:fs/promises'
import { createRequire } from 'node:module'
import type * as Yaml from 'yaml'
import { CertError, systemCode } from '../errors.js'

/** Where in a document: `certificates`, `example.com`, `deploy`, 0. */
export type Place = readonly (string | number)[]

export interface YamlFile {
  /** What stands in it; an empty mapping where nothing does. */
  readonly value: unknown
  /** File, line and path of a place, for errors: `acme-oss.yaml:7: certificates.example.com.deploy.0`. */
  where(place: Place): string
}

// Room for thirty thousand certificates.
const sizeLimit = 8 * 1024 * 1024
// Enough for a list that all entries share; too few for aliases of aliases to grow to anything.
const aliasLimit = 1000

/** A file that was read, and not looked into. */
export interface YamlSource {
  readonly path: string
  readonly bytes: Buffer
  readonly text: string
}

// Where a configuration is known, yaml is wanted for the line of a fault alone, by somebody who cannot wait for it.
const require = createRequire(import.meta.url)
const loadYaml = (): typeof Yaml => require('yaml') as typeof Yaml

/**
 * What a file of plain values holds; the one door to yaml.
 * @throws CertError CONFIG_INVALID
 */
export const parseYaml = ({ path, text }: YamlSource): YamlFile => {
  const { isAlias, isMap, isNode, isScalar, LineCounter, parseDocument, visit } = loadYaml()
  const lines = new LineCounter()
  // The core schema has no tags that make anything but plain values; others are warned of, and refused below.
  const document = parseDocument(text, {
    lineCounter: lines,
    logLevel: 'error',
    prettyErrors: false,
    resolveKnownTags: false,
    schema: 'core',
    stringKeys: true,
    // Seen to below: the parser compares each key with all before it.
    uniqueKeys: false,
  })
  const at = (offset: number | undefined): string =>
    offset === undefined ? path : `${path}:${lines.linePos(offset).line}`
  const [wrong] = [...document.errors, ...document.warnings]
  if (wrong !== undefined) throw invalid(`${at(wrong.pos[0])}: ${sentences[wrong.code] ?? lowered(wrong.message)}`)
  const repeated = repeatedKey(loadYaml(), document)
  if (repeated !== undefined) throw invalid(`${at(repeated)}: map keys must be unique`)

  const toValue = (): unknown => {
    try {
      return document.toJS({ maxAliasCount: aliasLimit }) ?? {}
    } catch {
      let start: number | undefined
      visit(document, (_key, node) => {
        if (!isAlias(node) || node.resolve(document) !== undefined) return undefined
        start = node.range?.[0]
        return visit.BREAK
      })
      throw invalid(
        `${at(start)}: ${start === undefined ? 'its aliases unfold to too much' : 'there is no such anchor'}`,
      )
    }
  }

  /** Of a key, where there is one: what it holds may begin in the next line. */
  const startOf = (place: Place): number | undefined => {
    const inside = (one: Place): unknown => (one.length === 0 ? document.contents : document.getIn(one, true))
    const above = place.length === 0 ? undefined : inside(place.slice(0, -1))
    const node = isMap(above)
      ? above.items.find(({ key }) => isScalar(key) && key.value === place.at(-1))?.key
      : inside(place)
    return isNode(node) ? node.range?.[0] : undefined
  }

  return {
    value: toValue(),
    where: (place) => {
      // What is missing, or stands behind an alias, has no line of its own.
      const nearer = place.map((_part, i) => place.slice(0, place.length - i))
      const start = [...nearer, []].map(startOf).find((one) => one !== undefined)
      return place.length === 0 ? at(start) : `${at(start)}: ${place.join('.')}`
    },
  }
}

/** Where the first key begins that stands in the same mapping twice. */
const repeatedKey = ({ isMap, isPair, isScalar, isSeq }: typeof Yaml, document: Yaml.Document): number | undefined => {
  let first: number | undefined
  const nodes: unknown[] = [document.contents]
  for (const node of nodes) {
    if (isPair(node)) nodes.push(node.value)
    if (!isMap(node) && !isSeq(node)) continue
    for (const item of node.items) nodes.push(item)
    if (!isMap(node)) continue
    const seen = new Set<unknown>()
    for (const { key } of node.items) {
      if (!isScalar(key)) continue
      const start = key.range?.[0]
      if (seen.has(key.value) && start !== undefined && (first === undefined || start < first)) first = start
      seen.add(key.value)
    }
  }
  return first
}

const sentences: Readonly<Record<string, string>> = {
  MULTIPLE_DOCS: 'a second document begins here, and only one is read',
  NON_STRING_KEY: 'a key has to be a text',
  RESOURCE_EXHAUSTION: 'it is nested too deeply',
  TAG_RESOLVE_FAILED: 'tags are not taken here, only plain values',
}

const lowered = (message: string): string => message.charAt(0).toLowerCase() + message.slice(1)

export const invalid = (
  message: string,
  hint = 'docs/configuration.md shows what can stand there; acme-oss config schema prints it for editors',
): CertError => new CertError('CONFIG_INVALID', message, { hint })

/** @throws CertError FILE_UNREADABLE, CONFIG_INVALID */
export const readSource = async (path: string): Promise<YamlSource> => {
  const bytes = await readStart(path)
  if (bytes.length > sizeLimit) throw invalid(`${path} is larger than 8 MiB`)
  try {
    return { path, bytes, text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) }
  } catch {
    throw invalid(`${path} is not a text in UTF-8`)
  }
}

/** One byte beyond the limit at most, whatever the file is. */
const readStart = async (path: string): Promise<Buffer> => {
  try {
    const file = await open(path, 'r')
    try {
      const pieces: Buffer[] = []
      for await (const piece of file.createReadStream({ autoClose: false, end: sizeLimit })) pieces.push(piece)
      return Buffer.concat(pieces)
    } finally {
      await file.close()
    }
  } catch (error) {
    const why = explanations[systemCode(error) ?? ''] ?? systemCode(error) ?? String(error)
    throw new CertError('FILE_UNREADABLE', `the configuration ${path} cannot be read: ${why}`, {
      cause: error,
      hint: 'check --config and ACME_OSS_CONFIG; acme-oss config init writes a first one',
    })
  }
}

const explanations: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'permission denied',
  EISDIR: 'it is a folder',
}

import type * as Zod from 'zod'
import { isStandby, standbyEnd } from '../standby-name.js'
import { type AlertsDocument, receiverKinds, signedKinds } from './alerts.js'
import type { Options } from './option.js'
import type { Place } from './yaml-file.js'

/** The kinds of targets there are, with what each wants to know. */
export type TargetOptions = Readonly<Record<string, Options>>

/** The configuration file as it is written: keys as the flags are called. */
export interface ConfigDocument {
  readonly account?: {
    readonly email?: string
    readonly 'agree-tos'?: boolean
    readonly eab?: Readonly<Record<string, { readonly kid: string; readonly 'hmac-key-file': string }>>
  }
  readonly defaults?: Readonly<Record<string, TargetDocument>>
  readonly certificates?: Readonly<Record<string, CertificateDocument>>
  readonly alerts?: AlertsDocument
}

export interface CertificateDocument {
  readonly domains?: readonly string[]
  readonly issue?: Readonly<Record<string, string | number | boolean | readonly string[]>>
  readonly deploy?: readonly Readonly<Record<string, TargetDocument>>[]
}

export type TargetDocument = Readonly<Record<string, string | number | boolean>>

export interface Fault {
  readonly path: Place
  readonly message: string
  /** A key that is not known there, and those that are. */
  readonly unknown?: { readonly key: string; readonly known: readonly string[] }
}

/**
 * Holds a document against the schema; the one door to zod, which is loaded only where there is a file to read.
 * @returns what is wrong with it; empty where it is a ConfigDocument
 */
export const validate = async (document: unknown, targets: TargetOptions): Promise<Fault[]> => {
  const { z } = await import('zod')
  const schema = documentSchema(z, targets)
  const result = schema.safeParse(document, { reportInput: true })
  return result.success ? [] : result.error.issues.flatMap((issue) => faults(issue, () => z.toJSONSchema(schema)))
}

/** The same for one part of it alone, whatever is wrong elsewhere. */
export const areAlerts = async (part: unknown): Promise<boolean> => {
  const { z } = await import('zod')
  return alertsSchema(z).safeParse(part).success
}

/** A JSON Schema of the file, for editors. */
export const jsonSchema = async (targets: TargetOptions): Promise<object> => {
  const { z } = await import('zod')
  return { title: 'acme-oss.yaml', ...z.toJSONSchema(documentSchema(z, targets)) }
}

type Z = typeof Zod.z

const documentSchema = (z: Z, targets: TargetOptions) => {
  const line = lineSchema(z)
  const names = z.array(line).min(1, 'has to hold one at least')
  const shellWords = shellWordsSchema(z)
  const port = { error: 'has to be from 1 to 65535' }
  const kinds = Object.fromEntries(
    Object.entries(targets).map(([kind, options]) => [kind, settingsSchema(z, options).partial()]),
  )
  return z.strictObject({
    account: z
      .strictObject({
        email: z.email('has to be an e-mail address').describe('where CAs may write to'),
        'agree-tos': z.boolean().describe("agree to the CAs' terms of service"),
        eab: z
          .record(line, z.strictObject({ kid: line, 'hmac-key-file': line }))
          .describe('account bindings, by the name of the CA'),
      })
      .partial()
      .optional(),
    defaults: z.strictObject(kinds).partial().optional().describe('what every target of a kind begins with'),
    certificates: z
      .record(
        line.refine((name) => !isStandby(name), `must not end in ${standbyEnd}, as what renew keeps ready does`),
        z
          .strictObject({
            domains: names.describe('the names in the certificate'),
            issue: z
              .strictObject({
                ca: z.union([line, names]),
                'ca-timeout': z.int().min(1).max(86_400),
                standby: line,
                challenge: z.enum(['http-01', 'dns-01', 'tls-alpn-01']),
                solver: line,
                'http-port': z.int().min(1, port).max(65535, port),
                'tls-port': z.int().min(1, port).max(65535, port),
                'dns-timeout': z.int().min(0).max(86_400),
                'dns-resolver': line,
                'alidns-endpoint': line,
                'challenge-bucket': line,
                'challenge-region': line,
                'challenge-endpoint': line,
                webroot: line,
                'exec-auth': shellWords,
                'exec-cleanup': shellWords,
                'key-type': line,
                'reuse-key': z.boolean(),
                profile: line,
                'preferred-chain': line,
                'ca-bundle': line,
              })
              .partial()
              .describe('how it is issued; leave it out where a hook delivers the certificate'),
            deploy: z
              .array(
                z
                  .strictObject(kinds)
                  .partial()
                  .refine(hasOneKey, 'takes exactly one target: each has a dash of its own')
                  // What the check above is in a schema for editors.
                  .meta({ minProperties: 1, maxProperties: 1 }),
              )
              .describe('where it goes'),
          })
          .partial(),
      )
      .optional(),
    alerts: alertsSchema(z).optional(),
  })
}

const alertsSchema = (z: Z) => {
  const line = lineSchema(z)
  const url = z.string().regex(/^https?:\/\/[^\s\p{Cc}]+$/u, 'has to be a URL that begins with https://')
  const address = {
    url: url.describe('where messages go; a URL that holds a token is better kept in a file'),
    'url-file': line.describe('the file that this URL stands in'),
  }
  const signed = { ...address, 'secret-file': line.describe('the file with the secret that messages are signed with') }
  const receivers = Object.fromEntries(
    receiverKinds.map((kind) => [
      kind,
      z
        .strictObject(signedKinds.includes(kind) ? signed : address)
        .partial()
        .refine((one) => 'url' in one !== 'url-file' in one, 'needs either url or url-file')
        // What the check above is in a schema for editors, as far as that goes.
        .meta({ minProperties: 1 }),
    ]),
  )
  return z
    .strictObject({
      to: z
        .array(
          z
            .strictObject(receivers)
            .partial()
            .refine(
              (entry) => Object.keys(entry).length === 1,
              'takes exactly one receiver: each has a dash of its own',
            )
            .meta({ minProperties: 1, maxProperties: 1 }),
        )
        .describe('who is told when something is wrong, and when it is mended'),
      ping: url.describe('asked for after every run of renew or sync in which all went well'),
      'ping-file': line.describe('the file that this URL stands in'),
      'expiry-days': z.int().min(1).max(3650).describe('how many days before its end a certificate is worth a message'),
    })
    .partial()
    .refine((one) => !('ping' in one && 'ping-file' in one), 'takes either ping or ping-file')
    .describe('who is told when something is wrong')
}

/** Names and paths end up in messages and lists, one a line. */
const lineSchema = (z: Z) =>
  z.string().regex(/^(?=.*\S)[^\p{Cc}]+$/u, 'has to be one line of text, and not a blank one')

/** The shell's words, which may go over several lines. */
const shellWordsSchema = (z: Z) => z.string().regex(/\S/, 'has to hold a command')

const hasOneKey = (entry: object): boolean => Object.keys(entry).length === 1

const settingsSchema = (z: Z, options: Options) =>
  z.strictObject(
    Object.fromEntries(
      Object.entries(options).map(([name, option]) => {
        if (option.kind === 'switch') return [name, z.boolean().describe(option.describe)]
        if (option.kind === 'number') {
          const range = { error: `has to be from ${option.min} to ${option.max}` }
          return [name, z.int().min(option.min, range).max(option.max, range).describe(option.describe)]
        }
        const words = option.isCommand ? shellWordsSchema(z) : lineSchema(z)
        const type = option.choices === undefined ? words : z.enum([...option.choices])
        return [name, type.describe(option.describe)]
      }),
    ),
  )

type Issue = Zod.core.$ZodIssue

const faults = (issue: Issue, schema: () => object): Fault[] => {
  const path = issue.path.filter((part) => typeof part !== 'symbol')
  if (issue.code === 'invalid_key') return [{ path, message: `is no name: it ${issue.issues[0]?.message}` }]
  if (issue.code !== 'unrecognized_keys') return [{ path, message: sentence(issue) }]
  const known = knownKeys(schema(), path)
  return issue.keys.map((key) => ({ path: [...path, key], message: 'is not known here', unknown: { key, known } }))
}

const types: Readonly<Record<string, string>> = {
  string: 'a text',
  boolean: 'true or false',
  int: 'a whole number',
  number: 'a number',
  array: 'a list',
  object: 'a mapping',
  record: 'a mapping',
}

const sentence = (issue: Issue): string => {
  if (issue.code === 'invalid_type') {
    const type = types[issue.expected] ?? issue.expected
    if (issue.input === undefined) return 'is missing'
    if (issue.input === null) return `is empty, and has to be ${type}`
    const unquoted = issue.expected === 'string' && ['number', 'boolean'].includes(typeof issue.input)
    return `has to be ${type}${unquoted ? ', so it needs quotes' : ''}`
  }
  if (issue.code === 'invalid_value') return `has to be one of ${issue.values.join(', ')}`
  if (issue.code === 'invalid_union') return 'has to be a text or a list of texts'
  return issue.message
}

interface SchemaNode {
  readonly properties?: Readonly<Record<string, SchemaNode>>
  readonly additionalProperties?: SchemaNode
  readonly items?: SchemaNode
}

/** The keys that the schema knows at a path. */
const knownKeys = (schema: object, path: readonly (string | number)[]): string[] => {
  let node: SchemaNode | undefined = schema
  for (const part of path) {
    node = typeof part === 'number' ? node?.items : (node?.properties?.[part] ?? node?.additionalProperties)
  }
  return Object.keys(node?.properties ?? {})
}

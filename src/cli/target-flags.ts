import { resolve } from 'node:path'
import type { Settings } from '../config/option.js'
import { CertError } from '../errors.js'
import { createTarget, type TargetContext, targetOptions } from '../targets/index.js'
import { encryptions } from '../targets/oss.js'
import type { DeployTarget } from '../targets/target.js'
import { choice, text, toggle, type Values } from './flag.js'

/** Where a certificate is to go, and how to get there. */
export const targetFlags = {
  bucket: text('write the layout into this OSS bucket', { placeholder: 'BUCKET' }),
  region: text("the bucket's region, such as cn-hangzhou", { placeholder: 'REGION' }),
  prefix: text('what the object keys begin with, such as certs/example.com/', { placeholder: 'PREFIX' }),
  sse: choice('have OSS encrypt the objects', encryptions),
  directory: text('write the layout into this folder', { placeholder: 'DIR' }),
  endpoint: text('URL for reading and writing objects [https://oss-REGION.aliyuncs.com]', { placeholder: 'URL' }),
  'cname-endpoint': toggle('the endpoint is a domain that is bound to the bucket'),
  'bucket-endpoint': text("URL for the bucket's configuration [--endpoint, or the region's]", { placeholder: 'URL' }),
  'allow-older': toggle('replace a newer certificate in latest/ by an older one'),
  'allow-public-bucket': toggle('write the private key into a bucket that anybody can read'),
}

export type TargetValues = Values<typeof targetFlags>

/** One target as it was asked for: enough to make it, now or in a later run. */
export interface AskedTarget {
  readonly kind: string
  readonly settings: Settings
}

/**
 * The targets that flags or variables name; none where they leave it to the configuration.
 * @throws CertError USAGE
 */
export const askedTargets = (values: TargetValues): AskedTarget[] => {
  // One prefix for all that the configuration names would have them push each other out.
  if (values.bucket === undefined) requireNone(values, values.directory === undefined ? ['prefix'] : aboutBuckets)
  const oss = { bucket: values.bucket, prefix: values.prefix }
  // Absolute, since a later run may stand somewhere else.
  const directory = { path: values.directory && resolve(values.directory) }
  const named = [
    ...(values.bucket === undefined ? [] : [{ kind: 'oss', settings: given(oss) }]),
    ...(values.directory === undefined ? [] : [{ kind: 'directory', settings: given(directory) }]),
  ]
  return withReach(values, named)
}

const reach = [
  'region',
  'sse',
  'endpoint',
  'cname-endpoint',
  'bucket-endpoint',
  'allow-older',
  'allow-public-bucket',
] as const

/** What says something about a bucket only. */
export const aboutBuckets = ['region', 'prefix', 'sse', 'endpoint', 'cname-endpoint', 'bucket-endpoint'] as const

/** The targets with what flags and variables say of how to reach them and what may be done there. */
export const withReach = (values: TargetValues, targets: readonly AskedTarget[]): AskedTarget[] =>
  targets.map(({ kind, settings }) => {
    const about = reach.filter((name) => Object.hasOwn(targetOptions[kind] ?? {}, name))
    const said = given(Object.fromEntries(about.map((name) => [name, values[name]])))
    return { kind, settings: { ...settings, ...said } }
  })

/**
 * Refuses flags that say something about a bucket where none is given, neither by a flag nor by the configuration.
 * @throws CertError USAGE
 */
export const requireNone = (values: TargetValues, names: readonly ('prefix' | (typeof reach)[number])[]): void => {
  const alone = names.find((name) => values[name] !== undefined && values[name] !== false)
  if (alone === undefined) return
  throw new CertError('USAGE', `--${alone} says something about a bucket, but no bucket is given`, {
    hint: 'add --bucket, such as --bucket my-ssl-certs',
  })
}

/** Only what was said; a switch that is off says nothing. */
const given = (settings: Readonly<Record<string, string | boolean | undefined>>): Settings =>
  Object.fromEntries(
    Object.entries(settings).filter(
      (entry): entry is [string, string | boolean] => entry[1] !== undefined && entry[1] !== false,
    ),
  )

/** @throws CertError USAGE */
export const createTargets = (asked: readonly AskedTarget[], context: TargetContext): DeployTarget[] =>
  asked.map(({ kind, settings }) => createTarget(kind, settings, context))

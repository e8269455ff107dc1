import { resolve } from 'node:path'
import type { Settings } from '../config/option.js'
import { CertError } from '../errors.js'
import { longestExec, usualExec } from '../targets/exec.js'
import { createTarget, type TargetContext, targetOptions } from '../targets/index.js'
import { encryptions } from '../targets/oss.js'
import type { DeployTarget } from '../targets/target.js'
import { choice, list, text, toggle, type Values, wholeNumber } from './flag.js'

/** Where a certificate is to go, and how to get there. */
export const targetFlags = {
  bucket: text('write the layout into this OSS bucket', { placeholder: 'BUCKET' }),
  region: text("the bucket's region, such as cn-hangzhou", { placeholder: 'REGION' }),
  prefix: text('what the object keys begin with, such as certs/example.com/', { placeholder: 'PREFIX' }),
  'no-layout': toggle('do not write the layout into the bucket: it is named for its domains alone'),
  'oss-cname': list('have OSS host it for this domain of a bucket; auto for every one that is covered', {
    placeholder: '[BUCKET/]DOMAIN',
  }),
  'cdn-domain': list('give it to this CDN domain; auto for every one with HTTPS that is covered', {
    placeholder: 'DOMAIN',
  }),
  'dcdn-domain': list('the same for DCDN', { placeholder: 'DOMAIN' }),
  'enable-https': toggle('lets auto take domains of CDN and DCDN whose HTTPS is off, too: HTTPS requests are billed'),
  'via-cas': toggle('upload it to the certificate service once, and bind it everywhere by its id'),
  'cas-prune': toggle('delete from the certificate service what acme-oss uploaded and what has expired'),
  sse: choice('have OSS encrypt the objects', encryptions),
  directory: text('write the layout into this folder', { placeholder: 'DIR' }),
  exec: text('run this once all targets are in place, without a shell, such as "nginx -s reload"', {
    placeholder: 'COMMAND',
  }),
  'exec-shell': toggle('have a shell (sh -c) run it'),
  'exec-timeout': wholeNumber('seconds that it may take', { min: 1, max: longestExec, fallback: usualExec }),
  endpoint: text('URL for reading and writing objects [https://oss-REGION.aliyuncs.com]', { placeholder: 'URL' }),
  'cname-endpoint': toggle('the endpoint is a domain that is bound to the bucket'),
  'bucket-endpoint': text("URL for the bucket's configuration [--endpoint, or the region's]", { placeholder: 'URL' }),
  'cdn-endpoint': text('URL of the CDN API [https://cdn.aliyuncs.com]', { placeholder: 'URL' }),
  'dcdn-endpoint': text('URL of the DCDN API [https://dcdn.aliyuncs.com]', { placeholder: 'URL' }),
  'cas-endpoint': text('URL of the certificate service [https://cas.aliyuncs.com]', { placeholder: 'URL' }),
  'allow-older': toggle('replace a newer certificate by an older one'),
  'allow-untrusted': toggle('replace a trusted certificate by one of a test CA'),
  'allow-public-bucket': toggle('write the private key into a bucket that anybody can read'),
  verify: toggle('done only when every domain serves it, and nobody else can read what lies in the bucket'),
}

export type TargetValues = Values<typeof targetFlags>

/** One target as it was asked for: enough to make it, now or in a later run. */
export interface AskedTarget {
  readonly kind: string
  readonly settings: Settings
}

/**
 * The targets that flags or variables name; none where they leave it to the configuration, as a command alone does.
 * @throws CertError USAGE
 */
export const askedTargets = (values: TargetValues): AskedTarget[] => {
  const { bucket, prefix, directory } = values
  const isLayout = bucket !== undefined && !values['no-layout']
  // One prefix for all that the configuration names would have them push each other out.
  if (bucket === undefined) requireNone(values, ['prefix'])
  const cnames = values['oss-cname'].map((one) => ossCname(one, bucket))
  const edges = [
    ...values['cdn-domain'].map((domain) => ({ kind: 'cdn', settings: { domain } })),
    ...values['dcdn-domain'].map((domain) => ({ kind: 'dcdn', settings: { domain } })),
  ]
  const viaService = values['cas-prune'] || (values['via-cas'] && cnames.length + edges.length > 0)
  const named = [
    ...(isLayout ? [{ kind: 'oss', settings: given({ bucket, prefix }) }] : []),
    ...cnames,
    ...edges,
    ...(viaService ? [{ kind: 'cas', settings: given({ prune: values['cas-prune'] }) }] : []),
    // Absolute, since a later run may stand somewhere else.
    ...(directory === undefined ? [] : [{ kind: 'directory', settings: { path: resolve(directory) } }]),
  ]
  if (named.length === 0 && (bucket !== undefined || values['no-layout'])) {
    throw new CertError('USAGE', '--no-layout leaves nothing to be done', {
      hint: 'name the domains of the bucket, such as --oss-cname static.example.com, or leave it out',
    })
  }
  const isAboutBuckets = bucket !== undefined || cnames.length > 0
  if (named.length > 0 && !isAboutBuckets) requireNone(values, aboutBuckets)
  if (values['enable-https'] && named.length > 0 && edges.length === 0) {
    throw new CertError('USAGE', '--enable-https is about CDN and DCDN domains, and none is given', {
      hint: 'add --cdn-domain auto, or leave it out',
    })
  }
  const commands = askedCommand(values)
  return named.length === 0 ? [] : [...withReach(values, named), ...commands]
}

/**
 * What is to be run after all targets, wherever those are named.
 * @throws CertError USAGE
 */
export const askedCommand = ({ exec, 'exec-shell': shell, 'exec-timeout': timeout }: TargetValues): AskedTarget[] => {
  if (exec !== undefined) return [{ kind: 'exec', settings: given({ command: exec, shell, timeout: String(timeout) }) }]
  if (!shell) return []
  throw new CertError('USAGE', '--exec-shell is about a command, and none is given', { hint: 'add --exec' })
}

/** `[BUCKET/]DOMAIN`. @throws CertError USAGE */
const ossCname = (value: string, ownBucket: string | undefined): AskedTarget => {
  const slash = value.indexOf('/')
  const bucket = slash < 0 ? ownBucket : value.slice(0, slash)
  const domain = value.slice(slash + 1)
  if (bucket === undefined || bucket === '' || domain === '') {
    throw new CertError('USAGE', `--oss-cname ${value} does not say which bucket the domain is bound to`, {
      hint: `write --oss-cname BUCKET/${domain || 'static.example.com'}, or add --bucket (with --no-layout where nothing is to be written into it)`,
    })
  }
  return { kind: 'oss-cname', settings: { bucket, domain } }
}

const reach = [
  'region',
  'sse',
  'endpoint',
  'cname-endpoint',
  'bucket-endpoint',
  'cdn-endpoint',
  'dcdn-endpoint',
  'cas-endpoint',
  'enable-https',
  'via-cas',
  'allow-older',
  'allow-untrusted',
  'allow-public-bucket',
  'verify',
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
export const requireNone = (values: TargetValues, names: readonly (typeof aboutBuckets)[number][]): void => {
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

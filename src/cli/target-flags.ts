import { resolve } from 'node:path'
import { CertError } from '../errors.js'
import { createTarget, type TargetContext } from '../targets/index.js'
import type { DeployTarget, TargetSettings } from '../targets/target.js'
import { choice, text, toggle, type Values } from './flag.js'

/** Where a certificate is to go, and how to get there. */
export const targetFlags = {
  bucket: text('write the layout into this OSS bucket', { placeholder: 'BUCKET' }),
  region: text("the bucket's region, such as cn-hangzhou", { placeholder: 'REGION' }),
  prefix: text('what the object keys begin with, such as certs/example.com/', { placeholder: 'PREFIX' }),
  sse: choice('have OSS encrypt the objects', ['AES256', 'KMS', 'SM4']),
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
  readonly settings: TargetSettings
}

/** @throws CertError USAGE */
export const askedTargets = (values: TargetValues): AskedTarget[] => {
  const asked: AskedTarget[] = []
  const allowOlder = values['allow-older'] && { allowOlder: true }
  if (values.bucket !== undefined) {
    const settings = compact({
      bucket: values.bucket,
      region: values.region,
      prefix: values.prefix,
      sse: values.sse,
      endpoint: values.endpoint,
      cnameEndpoint: values['cname-endpoint'] || undefined,
      bucketEndpoint: values['bucket-endpoint'],
      allowPublicBucket: values['allow-public-bucket'] || undefined,
    })
    asked.push({ kind: 'oss', settings: { ...settings, ...allowOlder } })
  } else {
    const alone = (['region', 'prefix', 'sse', 'endpoint', 'cname-endpoint', 'bucket-endpoint'] as const).find(
      (name) => values[name] !== undefined && values[name] !== false,
    )
    if (alone !== undefined) {
      throw new CertError('USAGE', `--${alone} says something about a bucket, but no bucket is given`, {
        hint: 'add --bucket, such as --bucket my-ssl-certs',
      })
    }
  }
  if (values.directory !== undefined) {
    // Absolute, since a later run may stand somewhere else.
    asked.push({ kind: 'directory', settings: { directory: resolve(values.directory), ...allowOlder } })
  }
  return asked
}

const compact = (settings: Readonly<Record<string, string | boolean | undefined>>): TargetSettings =>
  Object.fromEntries(
    Object.entries(settings).filter((entry): entry is [string, string | boolean] => entry[1] !== undefined),
  )

/** @throws CertError USAGE */
export const createTargets = (asked: readonly AskedTarget[], context: TargetContext): DeployTarget[] =>
  asked.map(({ kind, settings }) => createTarget(kind, settings, context))

import { resolve } from 'node:path'
import { type Config, certificateNamed } from '../config/config.js'
import { CertError } from '../errors.js'
import { nearest } from '../nearest.js'
import { type LayoutSource, layoutSource } from '../targets/layout-source.js'
import type { Surroundings } from './command.js'
import type { Common } from './common-flags.js'
import { text, type Values } from './flag.js'
import { targetFlags } from './target-flags.js'
import { inPlace, openConfig } from './wanted-targets.js'

/** Where a layout is read from. */
export const pullSourceFlags = {
  bucket: text('read the layout in this OSS bucket', { placeholder: 'BUCKET' }),
  region: targetFlags.region,
  prefix: targetFlags.prefix,
  endpoint: text('URL for reading objects [https://oss-REGION.aliyuncs.com]', { placeholder: 'URL' }),
  'cname-endpoint': targetFlags['cname-endpoint'],
  directory: text('read the layout in this folder', { placeholder: 'DIR' }),
}

type SourceValues = Values<typeof pullSourceFlags> & Pick<Common, 'config'>
type Context = Parameters<typeof layoutSource>[2]

const aboutBuckets = ['region', 'prefix', 'endpoint', 'cname-endpoint'] as const

/**
 * The layout that flags or variables name, or that the configuration's entry `name` is deployed to.
 * @throws CertError USAGE, CONFIG_INVALID, FILE_UNREADABLE
 */
export const pullSource = async (
  values: SourceValues,
  name: string | undefined,
  surroundings: Surroundings,
  context: Context,
): Promise<LayoutSource> => {
  const { bucket, directory } = values
  const given = [
    ...(bucket === undefined ? [] : ['--bucket']),
    ...(directory === undefined ? [] : ['--directory']),
    ...(name === undefined ? [] : [`the configuration's ${name}`]),
  ]
  if (given.length > 1) {
    throw new CertError('USAGE', `a certificate is pulled from one place, and ${given.join(' and ')} are given`, {
      hint: 'leave one of them out; they can also come from variables (ACME_OSS_BUCKET, ACME_OSS_DIRECTORY)',
    })
  }
  const alone = aboutBuckets.find((flag) => values[flag] !== undefined && values[flag] !== false)
  if (bucket === undefined && name === undefined && alone !== undefined) {
    throw new CertError('USAGE', `--${alone} says something about a bucket, but no bucket is given`, {
      hint: 'add --bucket, such as --bucket my-ssl-certs',
    })
  }
  const reach = Object.fromEntries(
    aboutBuckets.flatMap((flag) => {
      const value = values[flag]
      return value === undefined || value === false ? [] : [[flag, value]]
    }),
  )
  const source =
    name !== undefined
      ? await ofEntry(await openConfig(values, surroundings, true), name, reach, context)
      : bucket !== undefined
        ? layoutSource('oss', { bucket, ...reach }, context)
        : directory !== undefined
          ? layoutSource('directory', { path: resolve(directory) }, context)
          : undefined
  if (source !== undefined) return source
  throw new CertError('USAGE', 'nothing says where the certificate is to be pulled from', {
    hint: 'name the layout: --bucket my-ssl-certs --region cn-hangzhou --prefix certs/example.com/, or --directory DIR, or an entry of the configuration',
  })
}

const ofEntry = async (
  config: Config | undefined,
  name: string,
  reach: Readonly<Record<string, string | boolean>>,
  context: Context,
): Promise<LayoutSource> => {
  if (config === undefined) {
    throw new CertError('USAGE', `there is no configuration that could say where ${name} is`, {
      hint: 'name one with --config, or the layout with --bucket or --directory',
    })
  }
  const entry = certificateNamed(config, name)
  if (entry === undefined) {
    const near = nearest(
      name,
      config.certificates.map((one) => one.name),
    )
    throw new CertError('USAGE', `${config.path} has no entry for ${name}`, {
      hint: near === undefined ? 'acme-oss config check lists them' : `did you mean ${near}?`,
    })
  }
  const at = entry.deploy.findIndex(({ kind }) => kind === 'oss' || kind === 'directory')
  const target = entry.deploy[at]
  if (target === undefined) {
    throw new CertError('USAGE', `${config.path}: ${name} is deployed to no bucket and to no folder`, {
      hint: 'add a layout to its deploy list, such as - oss: { bucket: my-ssl-certs, region: cn-hangzhou }',
    })
  }
  const settings = target.kind === 'oss' ? { ...target.settings, ...reach } : target.settings
  const source = inPlace(config, ['certificates', name, 'deploy', at, target.kind], () =>
    layoutSource(target.kind, settings, context),
  )
  if (source === undefined) throw new CertError('INTERNAL', `${target.kind} is no layout`)
  return source
}

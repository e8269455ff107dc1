import type { CertificateService, UploadedCertificate } from '../aliyun/certificate-service.js'
import type { CertificateBundle } from '../certificate/bundle.js'
import { type Options, text, toggle } from '../config/option.js'
import { toCertError } from '../errors.js'
import type { DeployTarget, Outcome, TargetSettings } from './target.js'
import { keepInService, ourPrefix } from './upload.js'

export const casOptions = {
  'cas-endpoint': text('URL of the certificate service'),
  prune: toggle('delete what we uploaded and what has expired'),
} satisfies Options

export interface CasOptions {
  readonly service: CertificateService
  readonly endpoint: string
  readonly settings: TargetSettings
  readonly prune: boolean
  readonly now: () => Date
}

/** The account's own store of certificates: what others of its products can refer to. */
export const cas = ({ service, endpoint, settings, prune, now }: CasOptions): DeployTarget => ({
  kind: 'cas',
  identity: `cas at ${endpoint}`,
  name: 'cas',
  settings,
  serves: [],
  // What is not bound serves nobody: those that bind it look for it themselves.
  observe: async () => ({ status: 'found', places: [] }),
  plan: (bundle) => [
    {
      id: 'upload',
      does: 'keep it in the certificate service',
      run: (signal) => upload(service, bundle, signal),
    },
    ...(prune
      ? [
          {
            id: 'prune',
            does: 'delete our expired certificates from the certificate service',
            run: (signal: AbortSignal) => pruneExpired(service, now, signal),
          },
        ]
      : []),
  ],
})

const upload = async (
  service: CertificateService,
  bundle: CertificateBundle,
  signal: AbortSignal,
): Promise<Outcome> => {
  const { identifier, isNew } = await keepInService(service, bundle, signal)
  return { status: isNew ? 'changed' : 'unchanged', note: isNew ? identifier : `already there as ${identifier}` }
}

/** What carries our name, and serves nobody any more. Tidying up is no reason for a deployment to fail. */
const pruneExpired = async (service: CertificateService, now: () => Date, signal: AbortSignal): Promise<Outcome> => {
  const warnings: string[] = []
  let count = 0
  const expired: UploadedCertificate[] = []
  // All of them first: what is deleted moves what stands on later pages.
  for await (const one of service.list('expired', signal)) expired.push(one)
  for (const { id, name, expires } of expired) {
    if (!name.startsWith(ourPrefix) || expires === undefined || expires > now()) continue
    try {
      await service.remove(id, signal)
      count += 1
    } catch (error) {
      warnings.push(`${name} stays in the certificate service: ${toCertError(error).message}`)
    }
  }
  return count === 0
    ? { status: 'unchanged', note: 'nothing to delete', warnings }
    : { status: 'changed', note: `deleted ${count}`, warnings }
}

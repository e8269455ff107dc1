import { CertError } from '../errors.js'
import {
  firstMaxAge,
  type HttpsWish,
  type RedirectCode,
  redirectCodes,
  type TlsVersion,
  tlsVersions,
} from '../https/https-wish.js'
import { type Flag, list, text, toggle, typed, type Values } from './flag.js'
import { aboutBuckets, type TargetValues, targetFlags } from './target-flags.js'

/** A variable that was set for deployments is not to close a bucket. */
const namingFlags = typed({
  bucket: { ...targetFlags.bucket, describe: 'this OSS bucket' },
  'oss-cname': {
    ...targetFlags['oss-cname'],
    describe: 'the bucket that this domain is bound to; disable takes its certificate away',
  },
  'cdn-domain': { ...targetFlags['cdn-domain'], describe: 'this CDN domain' },
  'dcdn-domain': { ...targetFlags['dcdn-domain'], describe: 'this DCDN domain' },
})

/** Of the flags that say where a certificate goes, those that say where HTTPS is to be changed, and how to get there. */
export const placeFlags = {
  ...namingFlags,
  region: targetFlags.region,
  endpoint: targetFlags.endpoint,
  'cname-endpoint': targetFlags['cname-endpoint'],
  'bucket-endpoint': targetFlags['bucket-endpoint'],
  'cdn-endpoint': targetFlags['cdn-endpoint'],
  'dcdn-endpoint': targetFlags['dcdn-endpoint'],
}

/** With those that say nothing of HTTPS left out, as if they had not been given. */
export const targetValuesOf = (values: Values<typeof placeFlags>): TargetValues => {
  const unsaid = Object.fromEntries(Object.entries(targetFlags).map(([name, flag]) => [name, flag.read([], name)]))
  const said = Object.fromEntries(
    Object.keys(placeFlags).map((name) => [name, values[name as keyof typeof placeFlags]]),
  )
  // Variables may say where the buckets of others are.
  const isAboutBuckets = values.bucket !== undefined || values['oss-cname'].length > 0
  const isAboutEdges = values['cdn-domain'].length > 0 || values['dcdn-domain'].length > 0
  const beside = isAboutEdges && !isAboutBuckets ? aboutBuckets.map((name) => [name, unsaid[name]]) : []
  return { ...unsaid, ...said, ...Object.fromEntries(beside) }
}

const versions = list('the versions of TLS that are taken [1.2,1.3]', { placeholder: 'VERSION' })
const tls: Flag<readonly TlsVersion[]> = {
  ...versions,
  read: (given, name) => {
    const words = versions
      .read(given, name)
      .flatMap((one) => one.split(','))
      .map((one) => one.trim().replace(/^TLSv?/i, ''))
    const strange = words.find((word) => !tlsVersions.some((one) => one === word))
    if (strange !== undefined) {
      throw new CertError('USAGE', `--${name} does not know TLS "${strange}"`, {
        hint: `some of ${tlsVersions.join(', ')}, such as --${name} 1.2,1.3`,
      })
    }
    const wanted = tlsVersions.filter((one) => words.includes(one))
    if (wanted.length === 0) return ['1.2', '1.3']
    if (!wanted.includes('1.2') && !wanted.includes('1.3')) {
      throw new CertError(
        'USAGE',
        `--${name} ${wanted.join(',')} would lock today's clients out: TLS 1.0 and 1.1 are broken, and browsers speak them no more`,
        {
          hint: `add 1.2 at least, such as --${name} 1.2,1.3`,
        },
      )
    }
    return wanted
  },
}

const code = text(`how CDN and DCDN send plain HTTP to HTTPS: ${redirectCodes.join(', ')} [301]`, {
  placeholder: 'CODE',
})
const redirect: Flag<RedirectCode> = {
  ...code,
  read: (given, name) => {
    const word = code.read(given, name)
    const found = redirectCodes.find((one) => String(one) === (word ?? '301'))
    if (found !== undefined) return found
    throw new CertError('USAGE', `--${name} cannot be "${word}"`, { hint: `one of: ${redirectCodes.join(', ')}` })
  },
}

const year = 31_536_000
const seconds = text(
  `how long browsers are to insist on HTTPS, in seconds [${firstMaxAge}, or what is longer and there already]`,
  { placeholder: 'SECONDS' },
)
const maxAge: Flag<number | undefined> = {
  ...seconds,
  read: (given, name) => {
    const word = seconds.read(given, name)
    if (word === undefined) return undefined
    if (!/^\d{1,9}$/.test(word) || Number(word) < 1 || Number(word) > 2 * year) {
      throw new CertError('USAGE', `--${name} takes a whole number from 1 to ${2 * year}, not "${word}"`, {
        hint: `begin small, such as --${name} ${firstMaxAge}; --no-hsts leaves HSTS alone, acme-oss https relax ends it`,
      })
    }
    return Number(word)
  },
}

/** What HTTPS is to be like; for `enforce` alone. */
export const wishFlags = typed({
  'tls-versions': tls,
  redirect,
  'hsts-max-age': maxAge,
  'hsts-include-subdomains': toggle('HSTS: every host below the domain, too'),
  'hsts-preload': toggle('HSTS: may be built into browsers; nobody gets out of that again within months'),
  'no-hsts': toggle('leave HSTS as it is'),
  'no-http2': toggle('leave HTTP/2 as it is; else it is switched on'),
  gzip: toggle('switch gzip on, too'),
  brotli: toggle('switch Brotli on, too'),
  'no-check': toggle(
    'do not look whether every domain serves a good certificate first, nor whether a CA needs plain HTTP',
  ),
})

export type WishValues = Values<typeof wishFlags>

/** @throws CertError USAGE */
export const wishOf = (values: WishValues): HttpsWish => {
  const { 'hsts-max-age': age, 'hsts-include-subdomains': includeSubdomains, 'hsts-preload': preload } = values
  if (values['no-hsts'] && (age !== undefined || includeSubdomains || preload)) {
    throw new CertError('USAGE', '--no-hsts leaves HSTS as it is, and another flag changes it', {
      hint: 'leave one of them out',
    })
  }
  // What the lists that browsers come with ask for (hstspreload.org).
  if (preload && ((age ?? 0) < year || !includeSubdomains)) {
    throw new CertError('USAGE', '--hsts-preload takes a year and all subdomains, or no list takes the domain', {
      hint: `add --hsts-max-age ${year} --hsts-include-subdomains`,
    })
  }
  return {
    tls: values['tls-versions'],
    redirect: values.redirect,
    hsts: values['no-hsts'] ? undefined : { maxAge: age, includeSubdomains, preload },
    http2: !values['no-http2'],
    gzip: values.gzip,
    brotli: values.brotli,
  }
}

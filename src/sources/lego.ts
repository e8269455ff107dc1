import { type HookSource, incomplete } from './hook.js'

const about = {
  client: 'lego',
  setUp: "lego … run --run-hook 'acme-oss hook lego', and lego … renew --renew-hook 'acme-oss hook lego'",
}

/** lego's run and renew hooks: version 4 and version 5 call the variables differently. */
export const lego: HookSource = {
  ...about,
  read: ({ environment }) => {
    const isNew = environment['LEGO_HOOK_CERT_PATH'] !== undefined
    const prefix = isNew ? 'LEGO_HOOK_' : 'LEGO_'
    const nameVariable = isNew ? 'LEGO_HOOK_CERT_NAME' : 'LEGO_CERT_DOMAIN'
    const need = (variable: string): string => {
      const value = environment[variable]
      if (!value) throw incomplete(variable, about)
      return value
    }
    const certificate = need(`${prefix}CERT_PATH`)
    // Version 4 does not say where it is, but writes it beside.
    const issuer = environment[`${prefix}ISSUER_CERT_PATH`] || certificate.replace(/\.crt$/, '.issuer.crt')
    return [
      {
        name: need(nameVariable),
        // With --no-bundle the first holds the leaf alone; a chain that is given twice does no harm.
        certificates: [certificate],
        perhaps: issuer === certificate ? [] : [issuer],
        key: need(`${prefix}CERT_KEY_PATH`),
      },
    ]
  },
}

// An OpenID Connect provider for the tests: oidc-provider, whose users are who they say they are (?login_hint is asked by path).
// node provider.mjs MODULES_FOLDER PORT REDIRECT_URI: prints "ready" when it listens.
const [modules, port, redirect] = process.argv.slice(2);
const { default: Provider } = await import(`${modules}/oidc-provider/lib/index.js`);
const GROUPS = { alice: ["ops"], bob: ["shop"], carol: ["guests"] };
const issuer = `http://127.0.0.1:${port}`;

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: "kubeshark",
      client_secret: "the-secret-of-the-test",
      token_endpoint_auth_method: "client_secret_post",
      redirect_uris: [redirect],
    },
  ],
  pkce: { required: () => true },
  conformIdTokenClaims: false,
  claims: { openid: ["sub"], email: ["email"], groups: ["groups"] },
  scopes: ["openid", "email", "groups", "profile"],
  features: { devInteractions: { enabled: false } },
  cookies: { keys: ["of the test"] },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, email: `${id}@example.test`, groups: GROUPS[id] ?? [] }),
  }),
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
});

provider.use(async (context, next) => {
  if (!context.path.startsWith("/interaction/")) return next();
  const details = await provider.interactionDetails(context.req, context.res);
  const accountId = context.cookies.get("user") ?? "alice"; // what a form would ask
  if (details.prompt.name === "login") {
    return provider.interactionFinished(context.req, context.res, { login: { accountId } });
  }
  const grant = new provider.Grant({ accountId: details.session.accountId, clientId: "kubeshark" });
  grant.addOIDCScope("openid email groups profile");
  return provider.interactionFinished(context.req, context.res, { consent: { grantId: await grant.save() } });
});
provider.listen(Number(port), "127.0.0.1", () => console.log("ready"));

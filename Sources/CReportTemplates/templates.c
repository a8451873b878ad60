#include "CReportTemplates.h"

// Swift has no way to take a file into the program as it is; C's #embed does, at no cost in compile time.
#pragma clang diagnostic ignored "-Wc23-extensions"

#define TEMPLATES(X)                                \
    X(report, "report.mustache")                    \
    X(figure, "figure.mustache")                    \
    X(table, "table.mustache")                      \
    X(style, "style.css")                           \
    X(script, "report.js")                          \
    X(search_script, "search.js")                   \
    X(tables_script, "tables.js")                   \
    X(cards, "cards.mustache")                      \
    X(browser, "browser.mustache")                  \
    X(attention, "attention.mustache")              \
    X(tokens_script, "tokens.js")                   \
    X(attention_script, "attention.js")             \
    X(nulls, "nulls.json")                          \
    X(power, "power.json")

static const unsigned char report[] = {
#embed "../../Reports/Templates/report.mustache"
};
static const unsigned char figure[] = {
#embed "../../Reports/Templates/figure.mustache"
};
static const unsigned char table[] = {
#embed "../../Reports/Templates/table.mustache"
};
static const unsigned char style[] = {
#embed "../../Reports/Templates/style.css"
};
static const unsigned char script[] = {
#embed "../../Reports/Templates/report.js"
};
static const unsigned char search_script[] = {
#embed "../../Reports/Templates/search.js"
};
static const unsigned char tables_script[] = {
#embed "../../Reports/Templates/tables.js"
};
static const unsigned char cards[] = {
#embed "../../Reports/Templates/cards.mustache"
};
static const unsigned char browser[] = {
#embed "../../Reports/Templates/browser.mustache"
};
static const unsigned char attention[] = {
#embed "../../Reports/Templates/attention.mustache"
};
static const unsigned char tokens_script[] = {
#embed "../../Reports/Templates/tokens.js"
};
static const unsigned char attention_script[] = {
#embed "../../Reports/Templates/attention.js"
};

static const unsigned char nulls[] = {
#embed "../../Reports/Templates/nulls.json"
};
static const unsigned char power[] = {
#embed "../../Reports/Templates/power.json"
};
#define ENTRY(symbol, file) {file, symbol, sizeof symbol},
static const crt_template templates[] = {TEMPLATES(ENTRY)};

int crt_template_count(void) { return sizeof templates / sizeof templates[0]; }

crt_template crt_template_at(int index) { return templates[index]; }
